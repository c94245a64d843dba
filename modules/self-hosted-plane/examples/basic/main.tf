# A machine in Paris, whose Workers are reached by a tunnel and whose API is not.
terraform {
  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

provider "hybridge" {}

data "hybridge_zone" "example" {
  name = "example.com"
}

module "paris" {
  source = "../.."

  name   = "paris-1"
  region = "fr"
  zones = {
    "example.com" = { zone_id = data.hybridge_zone.example.id, hostnames = { "app.example.com" = "api" } }
  }
  programs = {
    hybridge    = { path = "/usr/bin/hybridge" }
    workerd     = { path = "/usr/bin/workerd" }
    cloudflared = { path = "/usr/bin/cloudflared" }
  }
}

# User data of the server's resource, whichever cloud it is in.
output "cloud_init" {
  value = module.paris.cloud_init
}
