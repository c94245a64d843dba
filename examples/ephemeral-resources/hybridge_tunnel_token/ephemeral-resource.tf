resource "hybridge_tunnel" "vps" {
  name    = "paris-1"
  ingress = [{ hostname = "app.example.com", service = "http://localhost:8787" }]
}

# For arguments that Terraform does not store, e.g. the write-only one of a secret
# manager that the machine reads. Nothing of it is kept.
ephemeral "hybridge_tunnel_token" "vps" {
  tunnel_id = hybridge_tunnel.vps.id
}

resource "terraform_data" "checked" {
  lifecycle {
    precondition {
      condition     = startswith(ephemeral.hybridge_tunnel_token.vps.token, "ey")
      error_message = "The plane gives no token that a connector could run with."
    }
  }
}
