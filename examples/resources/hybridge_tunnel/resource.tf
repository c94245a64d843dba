variable "rotation" {
  description = "Any text; another one rotates the tunnel's secret."
  type        = string
  default     = "2026-11"
}

resource "hybridge_tunnel" "vps" {
  name = "paris-1"

  ingress = [
    { hostname = "app.example.com", service = "http://localhost:8787" },
    {
      hostname       = "db.example.com"
      path           = "^/admin"
      service        = "https://localhost:9443"
      origin_request = { no_tls_verify = true, connect_timeout = 10 }
    },
    { hostname = "hello.example.com", service = "hello_world" },
  ] # http_status:404 for everything else is added

  rotation_trigger = var.rotation
}

output "cname" {
  value = hybridge_tunnel.vps.cname
}
