data "hybridge_worker" "api" {
  name = "api"
}

output "url" {
  value = data.hybridge_worker.api.url
}
