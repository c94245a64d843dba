data "hybridge_zone" "example" {
  name = "example.com"
}

resource "hybridge_tunnel" "vps" {
  name    = "paris-1"
  ingress = [{ hostname = "app.example.com", service = "hello_world" }]
}

resource "hybridge_tunnel_hostname" "app" {
  tunnel_id = hybridge_tunnel.vps.id
  zone_id   = data.hybridge_zone.example.id
  hostname  = "app.example.com"
}
