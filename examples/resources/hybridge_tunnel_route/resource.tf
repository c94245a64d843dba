resource "hybridge_tunnel" "vps" {
  name         = "paris-1"
  ingress      = [{ service = "http_status:404" }]
  warp_routing = true
}

resource "hybridge_tunnel_route" "lan" {
  network   = "10.20.0.0/16"
  tunnel_id = hybridge_tunnel.vps.id
  comment   = "the machines in Paris"
}
