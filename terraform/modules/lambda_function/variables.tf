variable "name" {
  description = "Name of the function."
  type        = string
}

variable "description" {
  description = "What it does, in a line."
  type        = string
}

variable "handler" {
  description = "module.function that Lambda calls."
  type        = string

  validation {
    condition     = can(regex("^[a-z_]+(\\.[a-z_]+)+$", var.handler))
    error_message = "handler must look like package.module.function."
  }
}

variable "zip_path" {
  description = "The zip that `make package` built; Terraform builds no code."
  type        = string

  validation {
    condition     = fileexists(var.zip_path)
    error_message = "The zip is not there: run `make package`."
  }
}

variable "bucket" {
  description = "Bucket the zip is brought through."
  type        = string
}

variable "layers" {
  description = "ARNs of the layers, in the order they are unpacked."
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "Variables of the function; no secret belongs here."
  type        = map(string)
  default     = {}
}

variable "statements" {
  description = "What the function may do besides writing its logs."
  type = list(object({
    sid        = string
    actions    = list(string)
    resources  = list(string)
    conditions = optional(map(map(list(string))), {})
  }))
  default = []

  validation {
    condition = alltrue(flatten([
      for one in var.statements : [for action in one.actions : can(regex("^[a-z0-9-]+:[A-Za-z]+$", action))]
    ]))
    error_message = "An action must be spelled out, like s3:GetObject: no wildcards."
  }

  validation {
    condition = alltrue(flatten([
      # The last part may be a pattern below a named folder; a whole bucket or every table may not.
      for one in var.statements : [for arn in one.resources : can(regex("^arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:([^*?]+|[^*?/]+/[^*?]+/\\*)$", arn))]
    ]))
    error_message = "A resource must be an ARN that names what it is; only a folder below it may end in /*."
  }
}

variable "kms_key_arn" {
  description = "Key of the log group and of the variables."
  type        = string
}

variable "memory_mb" {
  description = "Memory; 1,769 MB is one vCPU."
  type        = number
  default     = 512

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "memory_mb must lie between 128 and 10240."
  }
}

variable "timeout_seconds" {
  description = "Time limit of one invocation."
  type        = number
  default     = 10

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900
    error_message = "timeout_seconds must lie between 1 and 900."
  }
}

variable "log_retention_days" {
  description = "Days that log lines are kept."
  type        = number
  default     = 365
}

variable "reserved_concurrency" {
  description = "The most instances at a time, taken out of the account's; null reserves nothing."
  type        = number
  # An account starts with a concurrency of 10, of which nothing may be reserved.
  default = null

  validation {
    condition     = var.reserved_concurrency == null || coalesce(var.reserved_concurrency, 1) >= 1
    error_message = "reserved_concurrency must be at least 1, or null for none: 0 would switch the function off."
  }
}

variable "provisioned_concurrency" {
  description = "Instances that are kept warm and paid for by the hour."
  type        = number
  default     = 0

  validation {
    condition     = var.provisioned_concurrency >= 0
    error_message = "provisioned_concurrency must not be negative."
  }

  validation {
    condition     = var.reserved_concurrency == null || var.provisioned_concurrency <= coalesce(var.reserved_concurrency, 0)
    error_message = "provisioned_concurrency cannot exceed reserved_concurrency."
  }
}

variable "snap_start" {
  description = "Whether versions start from a snapshot of a warm one."
  type        = bool
  default     = false

  validation {
    condition     = !(var.snap_start && var.provisioned_concurrency > 0)
    error_message = "snap_start and provisioned_concurrency exclude each other: Lambda refuses both on one function."
  }
}

variable "dead_letter_arn" {
  description = "Queue for what an asynchronous invocation could not do; null where nobody invokes so."
  type        = string
  default     = null
}

variable "alarm_topic_arns" {
  description = "Who hears of an alarm."
  type        = list(string)
  default     = []
}

variable "alarm_errors" {
  description = "Failed invocations in five minutes that raise the alarm; null for none."
  type        = number
  default     = 1
}

variable "alarm_p99_ms" {
  description = "Raise the alarm where one invocation in a hundred is slower; null for none."
  type        = number
  default     = null
}
