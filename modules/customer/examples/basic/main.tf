# One customer, in a workspace of its own. The default plane is Cloudflare's edge, which holds the
# tunnel; the plane "acme" is the customer's machine.
terraform {
  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

variable "account_id" {
  description = "Account on the customer's plane. Null until the machine is there."
  type        = string
  default     = null
}

variable "base_url" {
  description = "Where Terraform reaches the plane."
  type        = string
  default     = null
}

variable "recipient" {
  description = "What `hybridge agent enroll` has printed on the customer's machine."
  type        = string
}

variable "operator" {
  description = "The recipient of who keeps the file."
  type        = string
}

provider "hybridge" {
  planes = module.acme.planes
}

data "hybridge_zone" "example" {
  name = "example.com"
}

module "acme" {
  source = "../.."

  name       = "acme"
  region     = "fr"
  residency  = ["fr"]
  account_id = var.account_id
  base_url   = var.base_url
  sops_file  = "${path.root}/acme.enc.yaml"
  recipient  = var.recipient
  operators  = [var.operator]
  zones = {
    "example.com" = { zone_id = data.hybridge_zone.example.id, hostnames = { "acme.example.com" = "shop" } }
  }
  programs = { for name in ["hybridge", "workerd", "cloudflared"] : name => { path = "/usr/bin/${name}" } }
}

module "shop" {
  source = "../../../worker"
  count  = var.account_id == null ? 0 : 1

  name               = "shop"
  plane              = "acme"
  compatibility_date = "2026-11-01"
  script             = "export default { fetch: () => new Response('the shop of acme') }"
}

output "cloud_init" {
  value = module.acme.cloud_init
}

output "url" {
  value = one(module.shop[*].url)
}
