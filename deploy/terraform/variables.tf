variable "issuer_url" {
  type        = string
  description = "The exact issuer of the cluster's tokens, including a trailing slash if there is one (AKS has one)"

  validation {
    condition     = can(regex("^https://[^?#[:space:]]+$", var.issuer_url))
    error_message = "It begins with https:// and has neither blanks nor a query."
  }
}

variable "workspace_id" {
  type        = string
  description = "The workspace that is written to"

  validation {
    condition     = can(regex("^ws-[A-Za-z0-9-]+$", var.workspace_id))
    error_message = "A workspace is named ws-…, which is its id and not its alias."
  }
}

variable "workspace_region" {
  type        = string
  description = "The workspace's region; by default the provider's"
  default     = null
}

variable "namespace" {
  type        = string
  description = "The namespace that Prometheus runs in"
  default     = "monitoring"
}

variable "service_account" {
  type        = string
  description = "The service account that Prometheus runs as"
  default     = "prometheus"
}

variable "role_name" {
  type    = string
  default = "amp-sidecar"
}

variable "provider_arn" {
  type        = string
  description = "The IAM OIDC provider of this issuer if the account has it already, since it can have but one; by default it is created"
  default     = null
}
