variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the tables."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the tables."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be destroyed, keys and budgets included."
  type        = bool
  default     = false
}
