# Terraform drops a member that an object does not have without a word, so a mistyped
# gate would let everything pass. Therefore the variables that are objects have the
# type `any`, and what stands in them is compared with what the resources have.
locals {
  members = {
    bundle                                    = ["alias", "define", "entrypoint", "external", "minify", "sourcemap", "tsconfig"]
    prebuilt                                  = ["directory", "exclude", "include", "main"]
    placement                                 = ["host", "hostname", "mode", "region"]
    limits                                    = ["cpu_ms", "subrequests"]
    "services[*]"                             = ["entrypoint", "worker"]
    "secrets[*]"                              = ["key", "sops_file"]
    workers_dev                               = ["enabled", "previews_enabled"]
    observability                             = ["enabled", "head_sampling_rate", "logs", "traces"]
    "observability.logs"                      = ["destinations", "enabled", "head_sampling_rate", "invocation_logs", "persist"]
    "observability.traces"                    = ["destinations", "enabled", "head_sampling_rate", "persist"]
    rollout                                   = ["final_bake_time", "final_gates", "gates", "hold_at", "on_failure", "on_interrupt", "on_return", "steps"]
    "rollout.steps[*]"                        = ["bake_time", "gates", "percentage"]
    "rollout.gates[*]"                        = ["http", "metrics", "webhook"]
    "rollout.gates[*].http"                   = ["body_contains", "every", "failures", "headers", "headers_wo", "max_latency", "method", "path", "patience", "status", "timeout", "url", "version_header"]
    "rollout.gates[*].metrics"                = ["max_failure_rate", "max_p99", "max_server_error_rate", "min_requests", "on_inconclusive", "settle"]
    "rollout.gates[*].webhook"                = ["signing_secret", "timeout", "url"]
    "rollout.gates[*].webhook.signing_secret" = ["key", "sops_file", "value_wo"]
  }

  # What is written: where it stands, which of the above it is, and its members. `try`
  # passes over what is null, and over what is no object, which the resources refuse.
  written = concat(
    [
      { at = "bundle", as = "bundle", names = try(keys(var.bundle), []) },
      { at = "prebuilt", as = "prebuilt", names = try(keys(var.prebuilt), []) },
      { at = "placement", as = "placement", names = try(keys(var.placement), []) },
      { at = "limits", as = "limits", names = try(keys(var.limits), []) },
      { at = "workers_dev", as = "workers_dev", names = try(keys(var.workers_dev), []) },
      { at = "observability", as = "observability", names = try(keys(var.observability), []) },
      { at = "observability.logs", as = "observability.logs", names = try(keys(var.observability.logs), []) },
      { at = "observability.traces", as = "observability.traces", names = try(keys(var.observability.traces), []) },
      { at = "rollout", as = "rollout", names = try(keys(var.rollout), []) },
    ],
    try([for name, service in var.services : { at = "services[\"${name}\"]", as = "services[*]", names = try(keys(service), []) }], []),
    try([for name, secret in var.secrets : { at = "secrets[\"${name}\"]", as = "secrets[*]", names = try(keys(secret), []) }], []),
    try([for i, step in var.rollout.steps : { at = "rollout.steps[${i}]", as = "rollout.steps[*]", names = try(keys(step), []) }], []),
    flatten(try([for name, gate in var.rollout.gates : [
      { at = "rollout.gates[\"${name}\"]", as = "rollout.gates[*]", names = try(keys(gate), []) },
      { at = "rollout.gates[\"${name}\"].http", as = "rollout.gates[*].http", names = try(keys(gate.http), []) },
      { at = "rollout.gates[\"${name}\"].metrics", as = "rollout.gates[*].metrics", names = try(keys(gate.metrics), []) },
      { at = "rollout.gates[\"${name}\"].webhook", as = "rollout.gates[*].webhook", names = try(keys(gate.webhook), []) },
      { at = "rollout.gates[\"${name}\"].webhook.signing_secret", as = "rollout.gates[*].webhook.signing_secret", names = try(keys(gate.webhook.signing_secret), []) },
    ]], [])),
  )

  # The gates that need preview URLs.
  probing = try([for name, gate in var.rollout.gates : name if try(gate.http, null) != null && try(gate.http.version_header, null) == null], [])

  mistyped = flatten([for object in local.written : [
    for name in setsubtract(object.names, local.members[object.as]) :
    "${object.at} has no ${name}, only ${join(", ", local.members[object.as])}."
  ]])
}
