variable "bucket" {
  description = "Name of the bucket, unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket's name has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects; null takes the one AWS keeps for S3."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete a bucket that holds objects."
  type        = bool
  default     = false
}

variable "old_versions_days" {
  description = "Days that overwritten and deleted objects are kept."
  type        = number
  default     = 90
}

variable "expires_days" {
  description = "Days after which an object is deleted; null keeps it."
  type        = number
  default     = null

  validation {
    condition     = var.expires_days == null || try(var.expires_days >= 1, false)
    error_message = "expires_days must be at least 1, or null."
  }
}

variable "deny_statements" {
  description = "Further statements of the bucket's policy, each with Sid, Effect, Principal, Action, Resource and Condition."
  type        = any
  default     = []

  validation {
    condition     = alltrue([for statement in var.deny_statements : statement.Effect == "Deny"])
    error_message = "A bucket's policy here only denies: what is allowed stands in the roles."
  }
}
