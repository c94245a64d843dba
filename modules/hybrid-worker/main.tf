locals {
  fallback = var.fallback_url == null ? {} : { "${var.binding}_URL" = var.fallback_url }
}

resource "hybridge_vpc_service" "this" {
  count = var.vpc == null ? 0 : 1

  name       = coalesce(var.vpc.name, var.name)
  type       = "http"
  plane      = var.plane
  tunnel_id  = var.vpc.tunnel_id
  hostname   = var.vpc.hostname
  ipv4       = var.vpc.ipv4
  ipv6       = var.vpc.ipv6
  http_port  = var.vpc.http_port
  https_port = var.vpc.https_port
}

resource "hybridge_worker" "this" {
  name  = var.name
  plane = var.plane

  subdomain = {
    enabled          = var.workers_dev
    previews_enabled = var.workers_dev
  }
}

resource "hybridge_worker_version" "this" {
  worker = hybridge_worker.this.id
  plane  = var.plane

  bundle   = var.bundle
  prebuilt = var.prebuilt
  script   = var.script

  compatibility_date  = var.compatibility_date
  compatibility_flags = var.compatibility_flags

  vars         = merge(var.vars, local.fallback)
  raw_bindings = var.raw_bindings
  vpc_services = var.vpc == null ? null : { (var.binding) = hybridge_vpc_service.this[0].id }
  secrets      = var.secrets

  message = var.message

  # The new version is live before the old one is let go.
  lifecycle {
    create_before_destroy = true
  }
}

resource "hybridge_worker_deployment" "this" {
  worker     = hybridge_worker.this.id
  plane      = var.plane
  version_id = hybridge_worker_version.this.id
  message    = var.message
  rollout    = var.rollout
}
