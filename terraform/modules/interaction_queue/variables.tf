variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the queues."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the messages, which hold prompts."
  type        = string
}

variable "consumer_arn" {
  description = "Alias of the function that takes the messages."
  type        = string
}

variable "consumer_timeout_seconds" {
  description = "Time limit of that function; a message stays invisible for six times as long."
  type        = number

  validation {
    condition     = var.consumer_timeout_seconds >= 1 && var.consumer_timeout_seconds * 6 <= 43200
    error_message = "consumer_timeout_seconds must lie between 1 and 7200."
  }
}

variable "most_deliveries" {
  description = "Deliveries after which a message goes to the dead letters."
  type        = number
  default     = 5

  validation {
    condition     = var.most_deliveries >= 5
    error_message = "most_deliveries must be at least 5: below that a throttled consumer loses good messages."
  }
}
