# Of secrets.enc.yaml, which sops has encrypted. Terraform opens it in every plan
# and apply, and keeps nothing of it.
ephemeral "hybridge_sops_file" "secrets" {
  file = "${path.module}/secrets.enc.yaml"
}

ephemeral "hybridge_sops_file" "database" {
  file = "${path.module}/secrets.enc.yaml"
  key  = "database_password"
}

# A value may go into write-only arguments and into the configuration of any
# provider, e.g. password = ephemeral.hybridge_sops_file.database.text, or be
# checked without being stored.
resource "terraform_data" "checked" {
  lifecycle {
    precondition {
      condition     = length(ephemeral.hybridge_sops_file.database.text) >= 16
      error_message = "The password of the database has fewer than 16 characters."
    }
    precondition {
      condition     = ephemeral.hybridge_sops_file.secrets.value.database_password == ephemeral.hybridge_sops_file.database.text
      error_message = "The file as a whole has another password than its key."
    }
  }
}
