terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

# The default plane comes from the environment: CLOUDFLARE_API_TOKEN,
# CLOUDFLARE_ACCOUNT_ID, and CLOUDFLARE_BASE_URL for a plane of your own.
# Further planes have names.
provider "hybridge" {
  planes = {
    paris = {
      base_url   = "https://workers.paris.example.com/client/v4"
      account_id = "0123456789abcdef0123456789abcdef"
      api_token  = var.paris_token
      region     = "eu-west"
    }
  }
}

variable "paris_token" {
  type      = string
  sensitive = true
}
