data "hybridge_zone" "example" {
  name = "example.com"
}

output "zone_id" {
  value = data.hybridge_zone.example.id
}
