variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the bucket."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects."
  type        = string
}

variable "retention_days" {
  description = "Days that a sampled prompt and its answer are kept."
  type        = number
  default     = 90

  validation {
    condition     = var.retention_days >= 1 && var.retention_days <= 3650
    error_message = "retention_days must lie between 1 and 3650: prompts are not kept for ever."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the samples."
  type        = bool
  default     = false
}
