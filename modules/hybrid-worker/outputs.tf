output "name" {
  description = "Name of the Worker, known once it is live."
  value       = hybridge_worker.this.name
  depends_on  = [hybridge_worker_deployment.this]
}

output "url" {
  description = "Where the Worker answers; null without workers.dev."
  value       = hybridge_worker.this.url
  depends_on  = [hybridge_worker_deployment.this]
}

output "version_id" {
  description = "The live version."
  value       = hybridge_worker_version.this.id
}

output "vpc_service_id" {
  description = "Id of the VPC service; null without `vpc`."
  value       = one(hybridge_vpc_service.this[*].id)
}
