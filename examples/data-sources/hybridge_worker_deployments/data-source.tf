data "hybridge_worker_deployments" "api" {
  worker = "api"
}

# Newest first; the first one is live.
output "live" {
  value = data.hybridge_worker_deployments.api.deployments[0].versions
}
