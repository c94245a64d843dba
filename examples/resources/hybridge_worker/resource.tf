resource "hybridge_worker" "api" {
  name = "api"
  tags = ["team-shop"]

  subdomain = {
    enabled          = true
    previews_enabled = true
  }

  observability = {
    enabled            = true
    head_sampling_rate = 0.5
  }
}
