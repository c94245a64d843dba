resource "hybridge_tunnel" "vps" {
  name    = "paris-2"
  ingress = [{ hostname = "app.example.com", service = "hello_world" }]
}

# It never fails, so it need not be in the check.
data "hybridge_tunnel_health" "vps" {
  tunnel_id = hybridge_tunnel.vps.id
}

# Every plan and apply warns while the tunnel is not served.
check "tunnel" {
  assert {
    condition     = data.hybridge_tunnel_health.vps.healthy
    error_message = "The tunnel is ${data.hybridge_tunnel_health.vps.status}: ${coalesce(data.hybridge_tunnel_health.vps.error, "look at hybridge status on its machine")}"
  }
}
