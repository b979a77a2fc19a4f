variable "name" {
  description = "Name of the deployment; the value of its tag."
  type        = string
}

variable "candidates" {
  description = "Names of the candidates, each of which gets a budget."
  type        = set(string)
}

variable "monthly_usd" {
  description = "What the deployment may cost a month, models included."
  type        = number

  validation {
    condition     = var.monthly_usd > 0
    error_message = "monthly_usd must be above 0."
  }
}

variable "candidate_monthly_usd" {
  description = "What single candidates may cost a month, by name; others share the whole."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for usd in values(var.candidate_monthly_usd) : usd > 0])
    error_message = "candidate_monthly_usd must be above 0."
  }
}

variable "anomaly_detection" {
  description = "Whether Cost Anomaly Detection watches the deployment's tag."
  type        = bool
  default     = false
}

variable "anomaly_usd" {
  description = "An unusual cost of so much is told at once."
  type        = number
  default     = 10

  validation {
    condition     = var.anomaly_usd > 0
    error_message = "anomaly_usd must be above 0."
  }
}

variable "topic_arn" {
  description = "Who hears of it."
  type        = string
}
