resource "hybridge_tunnel" "vps" {
  name    = "paris-1"
  ingress = [{ hostname = "app.example.com", service = "http://localhost:8787" }]
}

# Depends on the machine whose connector is awaited: depends_on = [module.vps].
resource "hybridge_tunnel_connected" "vps" {
  tunnel_id   = hybridge_tunnel.vps.id
  connections = 1

  timeouts = { create = "15m" }
}
