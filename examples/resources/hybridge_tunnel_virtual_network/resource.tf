resource "hybridge_tunnel" "vps" {
  name         = "paris-1"
  ingress      = [{ service = "http_status:404" }]
  warp_routing = true
}

# Another customer may have the same addresses: each has a network of its own.
resource "hybridge_tunnel_virtual_network" "customer" {
  name    = "customer-1"
  comment = "first customer"
}

resource "hybridge_tunnel_route" "customer" {
  network            = "10.20.0.0/16"
  tunnel_id          = hybridge_tunnel.vps.id
  virtual_network_id = hybridge_tunnel_virtual_network.customer.id
}
