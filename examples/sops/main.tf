terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

# The key file is yours and stays out of the repository. Planning works without
# it; applying needs it.
provider "hybridge" {
  sops = {
    age_key_file = "${path.module}/key.txt"
  }
}

# Any ephemeral source will do; here it is the same file.
ephemeral "hybridge_sops_file" "webhook" {
  file = "${path.module}/secrets.enc.yaml"
  key  = "webhook_key"
}

module "signer" {
  source = "../../modules/worker"

  name               = "signer"
  compatibility_date = "2026-11-01"
  bundle             = { entrypoint = "${path.module}/src/index.ts" }

  # By reference: the value never passes through Terraform. An edit of this key
  # makes a new version, an edit of another one does not.
  secrets = {
    DB_PASSWORD = { sops_file = "${path.module}/secrets.enc.yaml", key = "db_password" }
  }

  # By value: Terraform hands it over and forgets it. Raise the version with it.
  secrets_wo          = { WEBHOOK_KEY = ephemeral.hybridge_sops_file.webhook.text }
  secrets_wo_versions = { WEBHOOK_KEY = "1" }
}

output "url" {
  value = module.signer.url
}

output "secret_digests" {
  value = module.signer.secret_digests
}
