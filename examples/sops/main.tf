terraform {
  required_version = ">= 1.11"

  required_providers {
    hybridge = {
      source = "hybridge/hybridge"
    }
  }
}

# The key file is yours and stays out of the repository. What sops_file refers to
# is planned without it; opening the ephemeral resource below needs it.
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

  # By value: Terraform hands it over and forgets it. Something has to tell that it
  # changed; here it is the fingerprint of its ciphertext.
  secrets_wo          = { WEBHOOK_KEY = ephemeral.hybridge_sops_file.webhook.text }
  secrets_wo_versions = { WEBHOOK_KEY = provider::hybridge::sops_fingerprint(file("${path.module}/secrets.enc.yaml"), "webhook_key") }
}

output "url" {
  value = module.signer.url
}

output "secret_digests" {
  value = module.signer.secret_digests
}
