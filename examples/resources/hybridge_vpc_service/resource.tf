variable "port" {
  description = "Port of the private service."
  type        = number
  default     = 8080
}

resource "hybridge_tunnel" "vps" {
  name    = "paris-1"
  ingress = [{ service = "http_status:404" }]
}

resource "hybridge_vpc_service" "api" {
  name      = "api"
  type      = "http"
  tunnel_id = hybridge_tunnel.vps.id
  ipv4      = "127.0.0.1" # as the tunnel's connector sees it
  http_port = var.port
}

resource "hybridge_worker" "shop" {
  name      = "shop"
  subdomain = { enabled = true }
}

resource "hybridge_worker_version" "shop" {
  worker             = hybridge_worker.shop.id
  compatibility_date = "2026-11-01"
  vpc_services       = { API = hybridge_vpc_service.api.id }

  script = <<-JS
    export default {
      fetch(request, env) {
        return env.API.fetch("http://api.internal/prices");
      },
    };
  JS

  lifecycle {
    create_before_destroy = true
  }
}

resource "hybridge_worker_deployment" "shop" {
  worker     = hybridge_worker.shop.id
  version_id = hybridge_worker_version.shop.id
}

output "url" {
  value      = hybridge_worker.shop.url
  depends_on = [hybridge_worker_deployment.shop]
}
