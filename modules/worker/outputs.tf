output "name" {
  description = "Name of the Worker, known once it is live: what other Workers' `services` take."
  value       = hybridge_worker.this.name

  # A service binding to a Worker without a deployment is refused.
  depends_on = [hybridge_worker_deployment.this]
}

output "worker_id" {
  description = "The Worker's immutable id."
  value       = hybridge_worker.this.id
}

output "url" {
  description = "Where the Worker answers: its workers.dev address; null when that is switched off."
  value       = hybridge_worker.this.url
  depends_on  = [hybridge_worker_deployment.this]
}

output "version_id" {
  description = "The version that the source gives, live or not."
  value       = hybridge_worker_version.this.id
}

output "preview_url" {
  description = "Where that version answers without being live."
  value       = hybridge_worker_version.this.preview_url
}

output "digest" {
  description = "The version's identity: a hash of everything that makes it."
  value       = hybridge_worker_version.this.digest
}

output "modules_sha256" {
  description = "SHA-256 of each source or module that the version is made of, by its name."
  value       = hybridge_worker_version.this.modules_sha256
}

output "secret_digests" {
  description = "What identifies each secret without its value, by its name."
  value       = hybridge_worker_version.this.secret_digests
}

output "deployment_id" {
  description = "The live deployment."
  value       = hybridge_worker_deployment.this.id
}

output "active_versions" {
  description = "What is live: percentage of the requests by version id."
  value       = hybridge_worker_deployment.this.active_versions
}
