# Made of inputs alone, so that a provider block can be configured with it. A map as a whole: a
# part of `planes` must not be unknown while Terraform validates.
output "planes" {
  description = "The customer's plane under the customer's name: the provider's `planes`. Empty until `account_id` is given."
  value = {
    for name in var.account_id == null ? [] : [var.name] : name => {
      base_url       = coalesce(var.base_url, var.api == null ? "unix:///run/hybridge/api.sock" : "https://${try(var.api.hostname, "")}/client/v4")
      account_id     = var.account_id
      region         = var.region
      api_token_sops = { file = var.sops_file, key = var.token_key }
    }
  }
}

output "ledger_directory" {
  description = "Where the customer's ledger lies on the machine: no two customers have the same."
  value       = local.ledger
}

output "files" {
  description = "The files of the customer's machine by name; none holds a secret."
  value       = module.plane.files
}

output "cloud_init" {
  description = "User data of a new machine."
  value       = module.plane.cloud_init
}

output "install_sh" {
  description = "The script for a machine that there is."
  value       = module.plane.install_sh
}

output "tunnel_id" {
  description = "Id of the customer's tunnel."
  value       = module.plane.tunnel_id
}

output "secret_name" {
  description = "Under which name the machine is given the tunnel's token, or the API token that gets it."
  value       = module.plane.secret_name
}

output "urls" {
  description = "Where the customer's Workers answer, by host name."
  value       = module.plane.urls
}
