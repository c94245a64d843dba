locals {
  # Where cloudflared finds the agent on the machine: both are the defaults of agent_files.
  ingress = "http://127.0.0.1:8787"
  api     = "unix:/run/hybridge/api.sock"

  hostnames = merge([
    for zone, settings in var.zones : {
      for hostname, worker in settings.hostnames : hostname => settings.zone_id
    }
  ]...)

  tunnel_name = coalesce(var.tunnel_name, var.name)

  files = provider::hybridge::agent_files({
    format = 1
    region = var.region
    plane  = { allow_egress = var.allow_egress }
    ingress = {
      zones = { for zone, settings in var.zones : zone => settings.hostnames }
    }
    connectors = { (var.name) = { tunnel_id = hybridge_tunnel.this.id, account_id = var.tunnel_account_id } }
    alerts     = var.alerts
    log_level  = var.log_level
    programs   = var.programs
    unit       = var.unit
  })
}

resource "hybridge_tunnel" "this" {
  name             = local.tunnel_name
  plane            = var.plane
  rotation_trigger = var.rotation_trigger

  ingress = concat(
    # The connector itself refuses whatever Access has not let in, so that a
    # record or a policy that somebody takes away opens nothing.
    var.api == null ? [] : [{
      hostname = var.api.hostname
      service  = local.api
      origin_request = {
        access = {
          required  = true
          team_name = var.access.team_name
          aud_tag   = [var.access.audience]
        }
      }
    }],
    [for hostname in sort(keys(local.hostnames)) : {
      hostname       = hostname
      service        = local.ingress
      origin_request = null
    }],
    # A machine that has no host name yet serves nothing.
    [{ hostname = null, service = "http_status:404", origin_request = null }],
  )
}

resource "hybridge_tunnel_hostname" "app" {
  for_each = local.hostnames

  tunnel_id = hybridge_tunnel.this.id
  plane     = var.plane
  zone_id   = each.value
  hostname  = each.key
}

resource "hybridge_tunnel_hostname" "api" {
  count = var.api == null ? 0 : 1

  tunnel_id = hybridge_tunnel.this.id
  plane     = var.plane
  zone_id   = var.api.zone_id
  hostname  = var.api.hostname

  lifecycle {
    # Known at apply at the latest: the policy may be made by the same apply.
    precondition {
      condition     = try(length(var.access.policy_id) > 0 && length(var.access.audience) > 0, false)
      error_message = "The API of a plane gets a host name only behind Cloudflare Access: give access with the id of a policy and the audience of its application."
    }
  }
}
