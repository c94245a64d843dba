terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

provider "hybridge" {}

# A bundle takes .wasm, .txt and .bin imports as modules of their own, by the
# same rules as wrangler.
module "checksum" {
  source = "../../modules/worker"

  name               = "checksum"
  compatibility_date = "2026-11-01"

  bundle = { entrypoint = "${path.module}/src/index.js" }
}

output "url" {
  value = module.checksum.url
}

output "sources" {
  description = "What the version is made of."
  value       = keys(module.checksum.modules_sha256)
}
