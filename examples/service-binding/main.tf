terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

provider "hybridge" {}

# Reached by other Workers only: it has no address of its own.
module "catalog" {
  source = "../../modules/worker"

  name               = "catalog"
  compatibility_date = "2026-11-01"

  bundle      = { entrypoint = "${path.module}/catalog/index.ts" }
  workers_dev = { enabled = false, previews_enabled = false }
}

module "gateway" {
  source = "../../modules/worker"

  name               = "gateway"
  compatibility_date = "2026-11-01"

  bundle = { entrypoint = "${path.module}/gateway/index.ts" }

  # `module.catalog.name` and not "catalog": the gateway goes live after it.
  services = {
    CATALOG = { worker = module.catalog.name }
    PRICES  = { worker = module.catalog.name, entrypoint = "Prices" }
  }
}

output "url" {
  value = module.gateway.url
}
