locals {
  # A SOPS file names its recipients and its keys in the clear.
  sops       = yamldecode(file(var.sops_file))
  recipients = try([for entry in local.sops.sops.age : entry.recipient], [])
  keys       = provider::hybridge::sops_keys(file(var.sops_file))
}

# Whatever the customer's workspace needs and can be seen before anything is made.
resource "terraform_data" "checked" {
  input = {
    customer  = var.name
    recipient = var.recipient
    region    = var.region
    ledger    = local.ledger
  }

  lifecycle {
    precondition {
      condition     = contains(local.recipients, var.recipient)
      error_message = "${var.sops_file} is not encrypted for ${var.recipient}: add it to the file's rule in .sops.yaml and run sops updatekeys."
    }
    precondition {
      condition     = length(setsubtract(local.recipients, concat([var.recipient], var.operators))) == 0
      error_message = "${var.sops_file} is encrypted for somebody else too: ${join(", ", setsubtract(local.recipients, concat([var.recipient], var.operators)))}. Name them in operators, or take them out with sops updatekeys and rotate what the file holds."
    }
    precondition {
      condition     = contains(local.keys, var.token_key)
      error_message = "${var.sops_file} has no ${var.token_key}, the API token of the plane."
    }
    precondition {
      condition     = length(var.residency) == 0 || contains(var.residency, var.region)
      error_message = "${var.name} may be served from ${join(", ", var.residency)} only, and the machine is in ${var.region}."
    }
  }
}

locals {
  ledger = "/var/lib/hybridge/ledger/${var.name}"
}

module "plane" {
  source = "../self-hosted-plane"

  name              = var.name
  tunnel_name       = "customer-${var.name}"
  tunnel_account_id = var.tunnel_account_id
  plane             = var.edge
  region            = var.region
  zones             = var.zones
  api               = var.api
  access            = var.access
  programs          = var.programs
  allow_egress      = var.allow_egress
  alerts            = var.alerts
  log_level         = var.log_level
  unit              = var.unit
  rotation_trigger  = var.rotation_trigger

  depends_on = [terraform_data.checked]
}
