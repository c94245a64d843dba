variable "name" {
  description = "Name of the Worker, unique in its account: lower-case letters, digits, `-` and `_`, at most 63 characters where `workers_dev` makes it a part of a host, and 255 where both of it are off."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9_]([a-z0-9_-]{0,253}[a-z0-9_])?$", var.name))
    error_message = "A Worker's name has 1 to 255 lower-case letters, digits, hyphens and underscores, and neither begins nor ends with a hyphen."
  }

  validation {
    condition     = length(var.name) <= 63 || !coalesce(try(var.workers_dev.enabled, null), true) && !coalesce(try(var.workers_dev.previews_enabled, null), true)
    error_message = "With workers_dev, the name is a part of a host, and has at most 63 characters. Shorten it, or disable both of workers_dev."
  }
}

variable "plane" {
  description = "Which of the provider's `planes` runs the Worker. Null is the default plane."
  type        = string
  default     = null
}

variable "residency" {
  description = "Regions that the Worker, its versions and its deployments may be in: the plan refuses a plane that is elsewhere. Null is anywhere."
  type        = set(string)
  default     = null
}

variable "residency_acknowledged" {
  description = "Accept Cloudflare's edge in spite of `residency`."
  type        = bool
  default     = null
}

variable "bundle" {
  description = "Source that is bundled with esbuild, as the attribute `bundle` of `hybridge_worker_version`. Exactly one of `bundle`, `prebuilt` and `script` is given."
  type        = any
  default     = null
}

variable "prebuilt" {
  description = "A directory of finished modules, for instance from `wrangler deploy --dry-run --outdir`: `directory`, `main`, and optionally `include` and `exclude`."
  type        = any
  default     = null

  validation {
    condition     = length([for source in [var.bundle, var.prebuilt, var.script] : source if source != null]) == 1
    error_message = "Give exactly one source of code: bundle, prebuilt or script."
  }
}

variable "script" {
  description = "Inline code of a small Worker: one ES module."
  type        = string
  default     = null
}

variable "compatibility_date" {
  description = "The date whose runtime behaviour the Worker is written for, as YYYY-MM-DD."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", var.compatibility_date))
    error_message = "The compatibility date is written as YYYY-MM-DD, for instance 2026-11-01."
  }
}

variable "compatibility_flags" {
  description = "Runtime features switched on or off, for instance `nodejs_compat`."
  type        = set(string)
  default     = null
}

variable "vars" {
  description = "Plain text variables, by name. They are readable by everybody who may read the Worker: no secrets."
  type        = map(string)
  default     = null
}

variable "json_vars" {
  description = "Variables that the Worker sees as values, by name, each written with `jsonencode`."
  type        = map(string)
  default     = null
}

variable "services" {
  description = "Other Workers that this one calls, by the name of the binding: `worker`, and optionally `entrypoint`. Pass the other module's `name` output, so that it is live first."
  type        = any
  default     = null
}

variable "secrets" {
  description = "Secrets from SOPS files, by the name of the binding: `sops_file`, and `key`, the place of the value in it. No value is in a plan or in state."
  type        = any
  default     = {}
  nullable    = false
}

variable "secrets_wo" {
  description = "Secrets from any ephemeral source, by the name of the binding. Each needs its entry in `secrets_wo_versions`."
  type        = map(string)
  default     = {}
  nullable    = false
  ephemeral   = true

  validation {
    condition     = length(setsubtract(keys(var.secrets_wo), keys(var.secrets_wo_versions))) == 0
    error_message = "Each of secrets_wo needs its entry in secrets_wo_versions: without it no change of the value would be seen."
  }
}

variable "secrets_wo_versions" {
  description = "A text for each of `secrets_wo` that changes whenever its value does, for instance a counter."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "keep_secrets" {
  description = "Carry over the live version's secrets that are not declared here, for instance those from `wrangler secret put`."
  type        = bool
  default     = null
}

variable "version_metadata" {
  description = "Name of a binding that tells the Worker its own version id and tag."
  type        = string
  default     = null
}

variable "raw_bindings" {
  description = "Bindings of kinds that have no attribute of their own, by name, each written with `jsonencode` as the API has them, without the name."
  type        = map(string)
  default     = null
}

variable "placement" {
  description = "Where the Worker runs, as the attribute `placement` of `hybridge_worker_version`."
  type        = any
  default     = null
}

variable "limits" {
  description = "Limits of one request, as the attribute `limits` of `hybridge_worker_version`."
  type        = any
  default     = null
}

variable "message" {
  description = "What this version and its deployment are for; a change of it alone changes nothing."
  type        = string
  default     = null
}

variable "tag" {
  description = "A tag of the version, for instance a release; a change of it alone changes nothing."
  type        = string
  default     = null
}

variable "live_version_id" {
  description = "The version that is to be live. Null is the one that the source gives; an earlier version's id puts that one back."
  type        = string
  default     = null

  validation {
    condition     = var.live_version_id == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.live_version_id))
    error_message = "A version id is a UUID in lower case, as the outputs version_id and active_versions have it."
  }
}

variable "workers_dev" {
  description = "Whether the Worker answers at its workers.dev host, and whether its versions have preview hosts: `enabled` and `previews_enabled`, both true unless given."
  type        = any
  default     = {}
  nullable    = false
}

variable "observability" {
  description = "Logs and traces that the plane keeps, as the attribute `observability` of `hybridge_worker`. Null leaves them unmanaged."
  type        = any
  default     = null
}

variable "logpush" {
  description = "Whether events of the Worker go to the account's Logpush jobs."
  type        = bool
  default     = null
}

variable "tags" {
  description = "Labels of the Worker."
  type        = set(string)
  default     = null
}

variable "rollout" {
  description = "The steps and gates by which a version goes live, as the attribute `rollout` of `hybridge_worker_deployment`. Null deploys at once."
  type        = any
  default     = null
}

variable "rollback_to" {
  description = "What to go back to: `previous`, a version's id or tag, or a commit or run of a release. Null follows the source."
  type        = string
  default     = null
}

variable "rollback_secrets" {
  description = "Which secrets `rollback_to` goes back with: `version`, those of the older version's time, or `current`, those that are live; `current` is needed to go back over a rotated secret. Null is `version`."
  type        = string
  default     = null

  validation {
    condition     = var.rollback_secrets == null || contains(["version", "current"], coalesce(var.rollback_secrets, "version"))
    error_message = "rollback_secrets is \"version\" or \"current\"."
  }
}

variable "retry_rejected" {
  description = "Id of a rejected version that may be tried once more."
  type        = string
  default     = null
}

variable "on_rejected" {
  description = "What a plan does that wants a rejected version: `warn` keeps what is live and goes on, `fail` is an error, so that a pipeline stays red. Null is `warn`."
  type        = string
  default     = null
}

variable "burned_secrets" {
  description = "Digests of secrets that have leaked: no version that declares one of them is deployed."
  type        = set(string)
  default     = null
}

variable "keep_versions" {
  description = "How many releases to keep on the plane; 0 keeps all. Null is the provider's default."
  type        = number
  default     = null
}

variable "overwrite_unseen" {
  description = "Deploy even over a deployment that this configuration has not seen, whoever made it."
  type        = bool
  default     = null
}

variable "allow_changed_secrets" {
  description = "Deploy also a version that is older than a change of secrets, which then has the secrets of its time. To go back over a rotated secret with the secrets that are live, use `rollback_secrets`."
  type        = bool
  default     = null
}

variable "force_destroy" {
  description = "Destroy the Worker even while others bind to it."
  type        = bool
  default     = null
}
