variable "name" {
  description = "Name of the deployment; the key's alias."
  type        = string
}

variable "region" {
  description = "Region of the key."
  type        = string
}

variable "deletion_window_days" {
  description = "Days between the destruction of the key and the loss of all that it encrypts."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "deletion_window_days must lie between 7 and 30."
  }
}
