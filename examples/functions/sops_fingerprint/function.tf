# The fingerprint changes when the secret is edited, and needs no key. As the
# version of a write-only argument it says when that has to be written again:
#
#   password_wo         = ephemeral.hybridge_sops_file.database.text
#   password_wo_version = local.fingerprint # where a text is taken
locals {
  fingerprint = provider::hybridge::sops_fingerprint(file("${path.module}/secrets.enc.yaml"), "database_password")
}

# Here an edit of one of two secrets replaces something.
resource "terraform_data" "rotated" {
  triggers_replace = provider::hybridge::sops_fingerprint(file("${path.module}/secrets.enc.yaml"), "database_password", "session_key")
}

output "fingerprint" {
  value = local.fingerprint
}

output "whole_file" {
  value = provider::hybridge::sops_fingerprint(file("${path.module}/secrets.enc.yaml"))
}
