# terraform apply -invoke=action.hybridge_tunnel_rotate.vps
action "hybridge_tunnel_rotate" "vps" {
  config {
    tunnel_id = hybridge_tunnel.vps.id
    timeout   = "15m"
  }
}
