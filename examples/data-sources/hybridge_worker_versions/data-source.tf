data "hybridge_worker_versions" "api" {
  worker = "api"
}

# Newest first.
output "newest" {
  value = data.hybridge_worker_versions.api.versions[0].id
}
