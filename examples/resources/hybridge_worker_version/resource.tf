resource "hybridge_worker" "api" {
  name      = "api"
  subdomain = { enabled = true, previews_enabled = true }
}

resource "hybridge_worker_version" "api" {
  worker             = hybridge_worker.api.id
  compatibility_date = "2026-11-01"

  bundle = {
    entrypoint = "${path.module}/src/index.ts"
    minify     = true
  }

  vars      = { GREETING = "Hello" }
  json_vars = { LIMITS = jsonencode({ burst = 10 }) }

  # Neither of these makes a new version when it changes alone.
  message = "First light"
  tag     = "v1"

  # The new version is there before the old one is let go; it stays on the
  # plane, ready to be deployed again.
  lifecycle {
    create_before_destroy = true
  }
}

output "preview_url" {
  value = hybridge_worker_version.api.preview_url
}
