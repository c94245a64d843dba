variable "name" {
  description = "Name of the Worker on the edge plane."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$", var.name))
    error_message = "A Worker's name has 1 to 63 lower-case letters, digits, hyphens and underscores, and begins and ends with a letter or digit."
  }
}

variable "plane" {
  description = "Which of the provider's `planes` is the edge. Null is the default plane."
  type        = string
  default     = null
}

variable "vpc" {
  description = "The way to the machine by a tunnel (Workers VPC): `tunnel_id`, a host behind it (`hostname`, or `ipv4`, `ipv6` or both), and its ports. At least one of `vpc` and `fallback_url` is given."
  type = object({
    tunnel_id  = string
    name       = optional(string)
    hostname   = optional(string)
    ipv4       = optional(string)
    ipv6       = optional(string)
    http_port  = optional(number)
    https_port = optional(number)
  })
  default = null

  validation {
    condition     = var.vpc != null || var.fallback_url != null
    error_message = "The Worker needs a way to the machine: set vpc, fallback_url or both."
  }
}

variable "fallback_url" {
  description = "Public URL of the machine, e.g. a host name of its tunnel, for when there is no VPC service or it does not answer."
  type        = string
  default     = null

  validation {
    condition     = var.fallback_url == null || can(regex("^https://[^/@?#]+$", var.fallback_url)) || can(regex("^http://[a-z0-9.-]*(localhost|127\\.0\\.0\\.1)(:[0-9]+)?$", var.fallback_url))
    error_message = "The URL has https, a host and nothing else: no path, no credentials. Plain http is for this machine only."
  }
}

variable "binding" {
  description = "Name of the binding. `NAME` is the VPC service, and the variable `NAME_URL` the fallback."
  type        = string
  default     = "ORIGIN"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z][A-Z0-9_]{0,59}$", var.binding))
    error_message = "The binding's name has capitals, digits and underscores, and begins with a letter."
  }
}

variable "compatibility_date" {
  description = "The date whose runtime behaviour the Worker is written for, as YYYY-MM-DD."
  type        = string
}

variable "compatibility_flags" {
  description = "Runtime features switched on or off."
  type        = set(string)
  default     = null
}

variable "bundle" {
  description = "Source that is bundled, as the attribute `bundle` of `hybridge_worker_version`. Exactly one of `bundle`, `prebuilt` and `script` is given."
  type = object({
    entrypoint = string
    minify     = optional(bool)
    sourcemap  = optional(bool)
    define     = optional(map(string))
    external   = optional(list(string))
    alias      = optional(map(string))
    tsconfig   = optional(string)
  })
  default = null

  validation {
    condition     = length([for source in [var.bundle, var.prebuilt, var.script] : source if source != null]) == 1
    error_message = "Give exactly one source of code: bundle, prebuilt or script."
  }
}

variable "prebuilt" {
  description = "A directory of finished modules."
  type = object({
    directory = string
    main      = string
    include   = optional(list(string))
    exclude   = optional(list(string))
  })
  default = null
}

variable "script" {
  description = "Inline code of a small Worker: one ES module."
  type        = string
  default     = null
}

variable "vars" {
  description = "Plain text variables, by name: no secrets."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "raw_bindings" {
  description = "Further bindings by name, each written with `jsonencode`."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secrets" {
  description = "Secrets from SOPS files, by the name of the binding: `sops_file` and `key`."
  type = map(object({
    sops_file = string
    key       = optional(string)
  }))
  default = null
}

variable "workers_dev" {
  description = "Whether the Worker answers at its workers.dev host."
  type        = bool
  default     = true
  nullable    = false
}

variable "rollout" {
  description = "Steps and gates, as the attribute `rollout` of `hybridge_worker_deployment`. Null deploys at once."
  type        = any
  default     = null
}

variable "message" {
  description = "What this version and its deployment are for."
  type        = string
  default     = null
}
