# A Worker at the edge that hands what may not leave to a Worker on the machine.
terraform {
  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

variable "paris" {
  description = "The plane of the machine, as the provider's `planes` have it."
  type = object({
    base_url   = string
    account_id = string
  })
}

variable "paris_token" {
  description = "Its API token."
  type        = string
  ephemeral   = true
}

provider "hybridge" {
  planes = {
    paris = { base_url = var.paris.base_url, account_id = var.paris.account_id, api_token = var.paris_token }
  }
}

# Behind its public URL is the machine's ingress.
module "records" {
  source = "../../../worker"

  name               = "records"
  plane              = "paris"
  compatibility_date = "2026-11-01"
  script             = <<-EOT
    export default { fetch: (request) => new Response("the record of " + new URL(request.url).pathname.slice(1)) }
  EOT
}

module "front" {
  source = "../.."

  name               = "front"
  compatibility_date = "2026-11-01"
  fallback_url       = trimsuffix(module.records.url, "/")
  script             = <<-EOT
    export default {
      async fetch(request, env) {
        const { pathname } = new URL(request.url);
        if (env.ORIGIN) { // by the tunnel, without leaving Cloudflare's network
          const answer = await env.ORIGIN.fetch("http://origin" + pathname);
          if (answer.status < 500) return answer;
        }
        return fetch(env.ORIGIN_URL + pathname);
      },
    };
  EOT
}

output "url" {
  value = module.front.url
}
