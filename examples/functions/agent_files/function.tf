resource "hybridge_tunnel" "paris" {
  name = "paris-1"
  ingress = [
    { hostname = "app.example.com", service = "http://localhost:8787" },
  ]
}

locals {
  files = provider::hybridge::agent_files({
    format     = 1
    region     = "fr"
    plane      = {}
    ingress    = { zones = { "example.com" = { "app.example.com" = "api" } } }
    connectors = { paris-1 = { tunnel_id = hybridge_tunnel.paris.id } }

    # The makers publish checksums beside their downloads; these here are made up.
    programs = {
      hybridge = {
        version = "0.1.0"
        sha256  = { amd64 = "f4a1c0e2b95d8736a0b1c2d3e4f5061728394a5b6c7d8e9f0a1b2c3d4e5f6071" }
      }
      workerd = {
        version = "1.20251120.0"
        sha256  = { amd64 = "0d9c8b7a6f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b4" }
      }
      cloudflared = {
        version = "2025.11.1"
        sha256  = { amd64 = "91d3f6c7a8b9e0d1c2b3a4958677685940312f1e0d9c8b7a6f5e4d3c2b1a0f9e" }
      }
    }
  })
}

# User data of a new machine, e.g. `user_data` of a server's resource. It holds no secret.
output "cloud_init" {
  value = local.files["cloud-init.yaml"]
}

output "names" {
  value = join(" ", keys(local.files))
}
