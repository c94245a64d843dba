variable "live_version_id" {
  description = "An earlier version to put back; null is what the source gives."
  type        = string
  default     = null
}

resource "hybridge_worker" "api" {
  name      = "api"
  subdomain = { enabled = true }
}

resource "hybridge_worker_version" "api" {
  worker             = hybridge_worker.api.id
  compatibility_date = "2026-11-01"

  script = <<-JS
    export default {
      fetch() {
        return new Response("live");
      },
    };
  JS

  lifecycle {
    create_before_destroy = true
  }
}

resource "hybridge_worker_deployment" "api" {
  worker     = hybridge_worker.api.id
  version_id = coalesce(var.live_version_id, hybridge_worker_version.api.id)
}

output "url" {
  value      = hybridge_worker.api.url
  depends_on = [hybridge_worker_deployment.api]
}
