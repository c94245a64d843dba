output "files" {
  description = "The files of the machine by name; none holds a secret."
  value       = local.files
}

output "cloud_init" {
  description = "User data of a new machine."
  value       = local.files["cloud-init.yaml"]
}

output "install_sh" {
  description = "The script that makes the machine that there is an agent, or brings it up to date."
  value       = local.files["install.sh"]
}

output "tunnel_id" {
  description = "Id of the tunnel: what `hybridge_tunnel_connected` and `hybridge_tunnel_token` take."
  value       = hybridge_tunnel.this.id
}

output "secret_name" {
  description = "Under which name the machine is given the tunnel's token, or the API token that gets it."
  value       = "${var.tunnel_account_id == null ? "tunnel" : "api"}-${var.name}"
}

output "base_url" {
  description = "The plane as the provider's `base_url`: behind Access if `api` is given, else the socket on the machine."
  value       = var.api == null ? "unix:///run/hybridge/api.sock" : "https://${var.api.hostname}/client/v4"
}

output "urls" {
  description = "Where Workers answer, by host name."
  value       = { for hostname, record in hybridge_tunnel_hostname.app : hostname => "https://${record.hostname}/" }
}
