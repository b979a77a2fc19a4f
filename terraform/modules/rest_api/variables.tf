variable "name" {
  description = "Name of the API."
  type        = string
}

variable "openapi_path" {
  description = "The OpenAPI document of the API."
  type        = string
}

variable "function" {
  description = "The alias that answers."
  type = object({
    name       = string
    alias      = string
    invoke_arn = string
  })
}

variable "authorizer" {
  description = "The alias that checks keys; null leaves that to IAM."
  type = object({
    name       = string
    alias      = string
    invoke_arn = string
  })
  default = null
}

variable "timeout_seconds" {
  description = "How long the gateway waits for the function."
  type        = number
  default     = 29

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 300
    error_message = "timeout_seconds must lie between 1 and 300; above 29 the account's quota must be raised first."
  }
}

variable "requests_per_second" {
  description = "Requests a second that the stage lets through."
  type        = number
  default     = 50
}

variable "burst" {
  description = "Requests that may come at once."
  type        = number
  default     = 100
}

variable "log_retention_days" {
  description = "Days that access logs are kept."
  type        = number
  default     = 365
}

variable "kms_key_arn" {
  description = "Key of the log groups."
  type        = string
}

variable "manage_account_log_role" {
  description = "Whether to set the role by which API Gateway writes the logs of this account and region."
  type        = bool
  default     = true
}

variable "waf" {
  description = "Whether AWS WAF stands before the stage."
  type        = bool
  default     = false
}

variable "waf_requests_per_five_minutes" {
  description = "Requests that one address may send in five minutes."
  type        = number
  default     = 1000

  validation {
    condition     = var.waf_requests_per_five_minutes >= 10
    error_message = "waf_requests_per_five_minutes must be at least 10, WAF's own limit."
  }
}

variable "domain" {
  description = "A name of your own and its certificate in this region; null for none."
  type = object({
    name            = string
    certificate_arn = string
  })
  default = null
}

variable "vpc_endpoint_ids" {
  description = "VPC endpoints that alone reach the API; empty makes it public."
  type        = list(string)
  default     = []
}
