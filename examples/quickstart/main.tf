terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

# Which plane this is, and as whom, comes from the environment:
# CLOUDFLARE_BASE_URL, CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID.
provider "hybridge" {}

variable "live_version_id" {
  description = "The version that is to be live. Null is the one that the source gives."
  type        = string
  default     = null
}

module "hello" {
  source = "../../modules/worker"

  name               = "hello"
  compatibility_date = "2026-11-01"

  bundle = {
    entrypoint = "${path.module}/src/index.ts"
    minify     = true
  }

  vars             = { STAGE = "quickstart" }
  version_metadata = "VERSION"

  # A new version is asked for its greeting before anybody else sees it, and again while
  # every tenth request goes to it. If it does not greet, the old one stays.
  rollout = {
    steps = [
      { percentage = 0, gates = ["greets"] },
      { percentage = 10, bake_time = "1s", gates = ["greets"] },
    ]
    gates = {
      greets = { http = { path = "/", body_contains = "world", every = "500ms" } }
    }
  }

  live_version_id = var.live_version_id
}

output "url" {
  description = "Where the Worker answers."
  value       = module.hello.url
}

output "version_id" {
  description = "The version that the source gives."
  value       = module.hello.version_id
}

output "active_versions" {
  description = "What is live."
  value       = module.hello.active_versions
}
