variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the topic."
  type        = string
}

variable "queries_folder" {
  description = "Folder of the saved queries, one *.cwli file each."
  type        = string
}

variable "metrics_namespace" {
  description = "Namespace the functions count in."
  type        = string
}

variable "router_log_group" {
  description = "Log group of the decision lines."
  type        = string
}

variable "function_names" {
  description = "Names of the functions."
  type        = list(string)
}

variable "api_name" {
  description = "Name of the API."
  type        = string
}

variable "api_stage" {
  description = "Stage of the API."
  type        = string
}

variable "dead_letters_name" {
  description = "Name of the queue of dead letters."
  type        = string
}

variable "alarm_arns" {
  description = "Alarms made elsewhere that belong on the dashboard."
  type        = list(string)
  default     = []
}

variable "alarm_email" {
  description = "Address that hears of alarms and budgets, after it confirmed; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@ ]+@[^@ ]+[.][^@ ]+$", var.alarm_email))
    error_message = "alarm_email must be an address such as team@example.com."
  }
}

variable "alarm_error_percent" {
  description = "Share of requests that may end in an error of ours, in percent."
  type        = number
  default     = 5

  validation {
    condition     = var.alarm_error_percent >= 0 && var.alarm_error_percent <= 100
    error_message = "alarm_error_percent must lie between 0 and 100."
  }
}

variable "alarm_fallback_percent" {
  description = "Share of calls that may be passed on to another model, in percent."
  type        = number
  default     = 20

  validation {
    condition     = var.alarm_fallback_percent >= 0 && var.alarm_fallback_percent <= 100
    error_message = "alarm_fallback_percent must lie between 0 and 100."
  }
}
