resource "hybridge_worker" "this" {
  name          = var.name
  plane         = var.plane
  tags          = var.tags
  force_destroy = var.force_destroy

  residency              = var.residency
  residency_acknowledged = var.residency_acknowledged

  subdomain = {
    enabled          = coalesce(try(var.workers_dev.enabled, null), true)
    previews_enabled = coalesce(try(var.workers_dev.previews_enabled, null), true)
  }

  observability = var.observability
  logpush       = var.logpush

  lifecycle {
    precondition {
      condition     = length(local.mistyped) == 0
      error_message = "Terraform would drop these members without a word: ${join(" ", local.mistyped)}"
    }
    precondition {
      condition     = coalesce(try(var.workers_dev.previews_enabled, null), true) || length(local.probing) == 0
      error_message = "These gates ask the preview URL of a version: ${join(", ", local.probing)}. Leave workers_dev.previews_enabled true, or set version_header and let the Worker name its version."
    }
  }
}

resource "hybridge_worker_version" "this" {
  worker = hybridge_worker.this.id
  plane  = var.plane

  residency              = var.residency
  residency_acknowledged = var.residency_acknowledged

  bundle   = var.bundle
  prebuilt = var.prebuilt
  script   = var.script

  compatibility_date  = var.compatibility_date
  compatibility_flags = var.compatibility_flags

  vars             = var.vars
  json_vars        = var.json_vars
  services         = var.services
  version_metadata = var.version_metadata
  raw_bindings     = var.raw_bindings

  secrets = merge(
    { for name, secret in var.secrets : name => {
      sops_file = try(secret.sops_file, null), key = try(secret.key, null), value_wo = null, value_wo_version = null
    } },
    { for name, version in var.secrets_wo_versions : name => {
      sops_file = null, key = null, value_wo = try(var.secrets_wo[name], null), value_wo_version = version
    } },
  )
  keep_secrets = var.keep_secrets

  placement = var.placement
  limits    = var.limits

  message = var.message
  tag     = var.tag

  # The new version is uploaded, and then live, before the old one is let go.
  # Letting go keeps it on the plane: it is what `live_version_id` puts back.
  lifecycle {
    create_before_destroy = true
  }
}

resource "hybridge_worker_deployment" "this" {
  worker     = hybridge_worker.this.id
  plane      = var.plane
  version_id = coalesce(var.live_version_id, hybridge_worker_version.this.id)
  message    = var.message

  residency              = var.residency
  residency_acknowledged = var.residency_acknowledged

  rollout          = var.rollout
  rollback_to      = var.rollback_to
  rollback_secrets = var.rollback_secrets
  retry_rejected   = var.retry_rejected
  on_rejected      = var.on_rejected
  burned_secrets   = var.burned_secrets
  keep_versions    = var.keep_versions

  overwrite_unseen      = var.overwrite_unseen
  allow_changed_secrets = var.allow_changed_secrets
}
