data "hybridge_plane" "here" {}

output "kind" {
  description = "edge or self-hosted."
  value       = data.hybridge_plane.here.kind
}
