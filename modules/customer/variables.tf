variable "name" {
  description = "Name of the customer, and so of the machine, the tunnel and the ledger: lower-case letters, digits and `-`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,54}[a-z0-9])?$", var.name))
    error_message = "The name has 1 to 56 lower-case letters, digits and hyphens, and begins and ends with a letter or digit."
  }
}

variable "region" {
  description = "Where the customer's machine is, in your own words, e.g. `fr`."
  type        = string
}

variable "residency" {
  description = "The regions that the customer may be served from. Empty admits any."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "account_id" {
  description = "Account on the customer's plane, 32 hexadecimal digits. Null while there is none: the machine makes it at its first start."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null || can(regex("^[0-9a-f]{32}$", var.account_id))
    error_message = "An account's id has 32 lower-case hexadecimal digits."
  }
}

variable "base_url" {
  description = "Where Terraform reaches the plane. Null is the API's host name if `api` is given, else the unix socket on the machine, for an HCP Terraform agent beside it."
  type        = string
  default     = null
}

variable "sops_file" {
  description = "The customer's SOPS file in YAML: the token of the plane, and what the customer's Workers need. Encrypted for `recipient` and `operators`, and nobody else."
  type        = string
}

variable "recipient" {
  description = "The age recipient of the customer's machine, which `hybridge agent enroll` prints."
  type        = string

  validation {
    condition     = can(regex("^age1[0-9a-z]{58}$", var.recipient))
    error_message = "A recipient begins with age1 and has 62 characters. An identity (AGE-SECRET-KEY-1...) is a secret and does not belong here."
  }
}

variable "operators" {
  description = "Further age recipients that the file may be encrypted for: those who keep it."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "token_key" {
  description = "Key path of the plane's API token in `sops_file`."
  type        = string
  default     = "api_token"
  nullable    = false
}

variable "edge" {
  description = "Which of the provider's `planes` holds the tunnel and the records: Cloudflare's edge. Null is the default plane."
  type        = string
  default     = null
}

variable "zones" {
  description = "As in `self-hosted-plane`."
  type = map(object({
    zone_id   = string
    hostnames = map(string)
  }))
  default  = {}
  nullable = false
}

variable "api" {
  description = "As in `self-hosted-plane`: host name of the API, which needs `access`."
  type = object({
    hostname = string
    zone_id  = string
  })
  default = null
}

variable "access" {
  description = "As in `self-hosted-plane`."
  type = object({
    policy_id = string
    audience  = string
    team_name = string
  })
  default = null
}

variable "programs" {
  description = "As in `self-hosted-plane`."
  type = map(object({
    version = optional(string)
    sha256  = optional(map(string))
    url     = optional(string)
    path    = optional(string)
  }))
}

variable "allow_egress" {
  description = "As in `self-hosted-plane`."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "alerts" {
  description = "As in `self-hosted-plane`."
  type = object({
    webhooks           = optional(map(string))
    certificate_expiry = optional(string)
    disk_free          = optional(string)
  })
  default = null
}

variable "log_level" {
  description = "As in `self-hosted-plane`."
  type        = string
  default     = null
}

variable "unit" {
  description = "As in `self-hosted-plane`."
  type = object({
    load       = optional(string)
    memory_max = optional(string)
  })
  default = null
}

variable "rotation_trigger" {
  description = "Any text; a change of it rotates the tunnel's secret."
  type        = string
  default     = null
}

variable "tunnel_account_id" {
  description = "As in `self-hosted-plane`: account of the tunnel, if the machine is to ask for its token itself."
  type        = string
  default     = null

  validation {
    condition     = var.tunnel_account_id == null || can(regex("^[0-9a-f]{32}$", var.tunnel_account_id))
    error_message = "An account's id has 32 lower-case hexadecimal digits."
  }
}
