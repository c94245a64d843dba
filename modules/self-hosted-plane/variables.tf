variable "name" {
  description = "Name of the machine: lower-case letters, digits, `-` and `_`. The secret with its tunnel's token is called `tunnel-NAME`."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$", var.name))
    error_message = "The name has 1 to 64 lower-case letters, digits, hyphens and underscores, and begins and ends with a letter or digit."
  }
}

variable "tunnel_name" {
  description = "Name of the tunnel. Null is the name of the machine."
  type        = string
  default     = null
}

variable "tunnel_account_id" {
  description = "Account of the tunnel. With it the machine asks Cloudflare for the tunnel's token itself, and is given an API token (`api-NAME`) once; a rotation then needs nobody. Null: it is given the tunnel's token."
  type        = string
  default     = null

  validation {
    condition     = var.tunnel_account_id == null || can(regex("^[0-9a-f]{32}$", var.tunnel_account_id))
    error_message = "An account's id has 32 lower-case hexadecimal digits."
  }
}

variable "plane" {
  description = "Which of the provider's `planes` holds the tunnel and the records: Cloudflare's edge. Null is the default plane."
  type        = string
  default     = null
}

variable "region" {
  description = "Where the machine is, as the provider's `planes` say it. Null says nothing."
  type        = string
  default     = null
}

variable "zones" {
  description = "Zones by name: `zone_id`, and `hostnames`, the Worker that answers by host name."
  type = map(object({
    zone_id   = string
    hostnames = map(string)
  }))
  default  = {}
  nullable = false
}

variable "api" {
  description = "Host name of the plane's API, `{ hostname, zone_id }`; needs `access`. Null gives it none: then only programs on the machine reach the API."
  type = object({
    hostname = string
    zone_id  = string
  })
  default = null

  validation {
    condition     = var.api == null || var.access != null
    error_message = "The API of a plane gets a host name only behind Cloudflare Access: set access, or leave api out and reach the plane by its unix socket."
  }
}

variable "access" {
  description = "The Access application of the API's host name: `policy_id`, `audience` (the application's AUD tag) and `team_name`. The connector checks that each request has come by it."
  type = object({
    policy_id = string
    audience  = string
    team_name = string
  })
  default = null

  validation {
    condition     = var.access == null || can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.access.policy_id))
    error_message = "The policy's id is a UUID in lower case, as cloudflare_zero_trust_access_policy has it."
  }

  validation {
    condition     = var.access == null || can(regex("^[0-9a-f]{64}$", var.access.audience))
    error_message = "The audience is the application's AUD tag: 64 lower-case hexadecimal digits."
  }

  validation {
    condition     = var.access == null || can(regex("^[a-z0-9-]+$", var.access.team_name))
    error_message = "The team's name is what stands before .cloudflareaccess.com."
  }
}

variable "programs" {
  description = "Where hybridge, workerd and cloudflared come from: `version` and `sha256` by architecture, or `path`, as in `provider::hybridge::agent_files`."
  type = map(object({
    version = optional(string)
    sha256  = optional(map(string))
    url     = optional(string)
    path    = optional(string)
  }))
}

variable "allow_egress" {
  description = "Private address ranges that Workers may reach, each as `10.1.2.3/32`."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "alerts" {
  description = "Who is told, as in `provider::hybridge::agent_files`."
  type = object({
    webhooks           = optional(map(string))
    certificate_expiry = optional(string)
    disk_free          = optional(string)
  })
  default = null
}

variable "log_level" {
  description = "`trace`, `debug`, `info`, `warn`, `error` or `off`. Null is `info`."
  type        = string
  default     = null
}

variable "unit" {
  description = "`load`, how secrets come to the agent, and `memory_max`, as in `provider::hybridge::agent_files`."
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
