# ---- Where and what ----

variable "region" {
  description = "Region of the deployment."
  type        = string
  default     = "ap-northeast-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must look like ap-northeast-1."
  }
}

variable "name" {
  description = "Name of the deployment, once in an account; everything it makes is called after it."
  type        = string

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])+$", var.name)) && length(var.name) >= 3 && length(var.name) <= 24
    error_message = "name must have 3 to 24 lower-case letters, digits and single hyphens, and begin with a letter."
  }
}

variable "timezone" {
  description = "Whose midnight begins a day of budgets and samples."
  type        = string
  default     = "Asia/Tokyo"

  validation {
    condition     = can(regex("^(UTC|[A-Z][A-Za-z_]+/[A-Z][A-Za-z_/-]+)$", var.timezone))
    error_message = "timezone must be a name such as Asia/Tokyo or UTC."
  }
}

variable "package_folder" {
  description = "Where `make package` put the zips."
  type        = string
  default     = "../build/package"

  validation {
    condition = alltrue([
      for zip in ["runtime-layer", "core-layer", "classifier", "authorizer", "collector"] : fileexists("${var.package_folder}/${zip}.zip")
    ])
    error_message = "The zips are not all there: run `make package`."
  }
}

# ---- Which models ----

variable "catalog" {
  description = "The catalog file in this folder."
  type        = string
  default     = "catalog.json"

  validation {
    condition     = fileexists("${path.module}/${var.catalog}")
    error_message = "There is no such file in the terraform folder."
  }
}

variable "candidates" {
  description = "Names of the catalog's candidates that are deployed."
  type        = set(string)
  default     = ["haiku", "sonnet", "nova-lite"]

  validation {
    condition     = length(var.candidates) > 0 && length(setsubtract(var.candidates, keys(local.catalog_candidates))) == 0
    error_message = "candidates must name at least one of the catalog's: ${join(", ", keys(local.catalog_candidates))}. Write another's entry into the catalog first."
  }

  validation {
    condition     = alltrue([for name in var.candidates : contains([var.region, var.us_region], try(local.catalog_candidates[name].region, var.region))])
    error_message = "A candidate lives neither in region nor in us_region: ${join(", ", [for name in var.candidates : "${name} in ${try(local.catalog_candidates[name].region, "?")}"])}. Leave it out, or change the region of its entry in the catalog."
  }

  validation {
    condition = var.residency == null || anytrue([
      for name in var.candidates : contains(try(local.resident[var.residency], []), try(local.catalog_candidates[name].residency, ""))
    ])
    error_message = "No candidate may answer: residency leaves out every one of them. Choose others, or another residency."
  }
}

variable "us_region" {
  description = "Region of candidates that can only be called from the US."
  type        = string
  default     = "us-west-2"

  validation {
    condition     = can(regex("^us-[a-z]+-[0-9]$", var.us_region))
    error_message = "us_region must be a US region such as us-west-2."
  }
}

variable "residency" {
  description = "Where prompts may be processed, whatever a request says: jp, apac, us; null for anywhere."
  type        = string
  default     = null

  validation {
    condition     = var.residency == null || contains(["jp", "apac", "us"], coalesce(var.residency, "-"))
    error_message = "residency may be jp, apac or us."
  }

  validation {
    condition = var.residency == null || contains(lookup({
      jp   = ["ap-northeast-1", "ap-northeast-3"]
      apac = ["ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-4"]
      us   = ["us-east-1", "us-east-2", "us-west-1", "us-west-2"]
    }, coalesce(var.residency, "-"), [var.region]), var.region)
    error_message = "The deployment itself lies outside its residency: prompts pass through region and, sampled, stay there."
  }
}

variable "default_candidate" {
  description = "Who answers while no router is published; null means the cheapest."
  type        = string
  default     = null

  validation {
    condition     = var.default_candidate == null || contains(var.candidates, coalesce(var.default_candidate, "-"))
    error_message = "default_candidate must be one of candidates."
  }

  validation {
    condition = var.default_candidate == null || var.residency == null || contains(
      try(local.resident[var.residency], []), try(local.catalog_candidates[var.default_candidate].residency, "")
    )
    error_message = "default_candidate may not answer under this residency."
  }
}

variable "default_preset" {
  description = "What the model name `regroup` means: quality, balanced or economy."
  type        = string
  default     = "balanced"

  validation {
    condition     = contains(["quality", "balanced", "economy"], var.default_preset)
    error_message = "default_preset may be quality, balanced or economy."
  }
}

# ---- Learning ----

variable "sample_rate" {
  description = "Share of the answers that is kept to learn from, 0 to 1. Samples hold prompts."
  type        = number
  default     = 0.1

  validation {
    condition     = var.sample_rate >= 0 && var.sample_rate <= 1
    error_message = "sample_rate is a share: it must lie between 0 and 1."
  }
}

variable "sample_retention_days" {
  description = "Days that samples are kept."
  type        = number
  default     = 90
}

variable "explore_share" {
  description = "Share of the decisions that is drawn by chance, 0 to 1; without any, a log says nothing of what was not tried."
  type        = number
  default     = 0.02

  validation {
    condition     = var.explore_share >= 0 && var.explore_share <= 1
    error_message = "explore_share is a share: it must lie between 0 and 1."
  }
}

variable "explore_floor" {
  description = "The least chance of each candidate that may be drawn."
  type        = number
  default     = 0.1

  validation {
    condition     = var.explore_floor >= 0 && var.explore_floor <= 0.5
    error_message = "explore_floor must lie between 0 and 0.5."
  }
}

variable "explore_max_cost_usd" {
  description = "The most that an answer drawn by chance may cost; null for no limit."
  type        = number
  default     = 0.05

  validation {
    condition     = var.explore_max_cost_usd == null || try(var.explore_max_cost_usd >= 0, false)
    error_message = "explore_max_cost_usd must not be negative."
  }
}

variable "pointer_check_seconds" {
  description = "How often a running function looks for a new router."
  type        = number
  default     = 30

  validation {
    condition     = var.pointer_check_seconds >= 0 && var.pointer_check_seconds <= 3600
    error_message = "pointer_check_seconds must lie between 0 and 3600."
  }
}

variable "cache_ttl_seconds" {
  description = "Seconds that a prediction is remembered."
  type        = number
  default     = 604800

  validation {
    condition     = var.cache_ttl_seconds >= 1
    error_message = "cache_ttl_seconds must be at least 1."
  }
}

# ---- Who may call, and how much ----

variable "auth" {
  description = "How callers show who they are: `keys` (Authorization: Bearer) or `iam` (Signature Version 4)."
  type        = string
  default     = "keys"

  validation {
    condition     = contains(["keys", "iam"], var.auth)
    error_message = "auth may be keys or iam: an open API would let anybody spend your money."
  }
}

variable "budget_when_unknown" {
  description = "Who answers while the table of budgets fails: cheapest, closed or open."
  type        = string
  default     = "cheapest"

  validation {
    condition     = contains(["cheapest", "closed", "open"], var.budget_when_unknown)
    error_message = "budget_when_unknown may be cheapest, closed or open."
  }
}

variable "requests_per_second" {
  description = "Requests a second that the API lets through."
  type        = number
  default     = 50

  validation {
    condition     = var.requests_per_second >= 1
    error_message = "requests_per_second must be at least 1."
  }
}

variable "burst" {
  description = "Requests that may come at once."
  type        = number
  default     = 100

  validation {
    condition     = var.burst >= 1
    error_message = "burst must be at least 1."
  }
}

variable "waf" {
  description = "Whether AWS WAF stands before the API (about 8 USD a month)."
  type        = bool
  default     = false
}

variable "domain" {
  description = "A name of your own and its ACM certificate in this region; null for API Gateway's."
  type = object({
    name            = string
    certificate_arn = string
  })
  default = null
}

variable "vpc_endpoint_ids" {
  description = "execute-api VPC endpoints that alone reach the API; empty makes it public."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.vpc_endpoint_ids : can(regex("^vpce-[0-9a-f]+$", id))])
    error_message = "vpc_endpoint_ids must look like vpce-0123456789abcdef0."
  }

  validation {
    condition     = length(var.vpc_endpoint_ids) == 0 || var.domain == null
    error_message = "vpc_endpoint_ids and domain exclude each other: API Gateway maps no regional name to a private API."
  }
}

variable "publisher_principal_arns" {
  description = "Who may take the role that publishes routers; empty means whoever in this account may assume roles."
  type        = list(string)
  default     = []
}

# ---- The functions ----

variable "gateway_timeout_seconds" {
  description = "How long the gateway waits; the classifier gets a second less and answers two before that."
  type        = number
  default     = 29

  validation {
    condition     = var.gateway_timeout_seconds >= 10 && var.gateway_timeout_seconds <= 300
    error_message = "gateway_timeout_seconds must lie between 10 and 300."
  }

  validation {
    condition     = var.gateway_timeout_seconds <= 29 || var.gateway_timeout_quota_raised
    error_message = "Above 29 seconds API Gateway refuses, unless the account's quota \"Maximum integration timeout\" was raised: then set gateway_timeout_quota_raised."
  }
}

variable "gateway_timeout_quota_raised" {
  description = "Whether the account's quota of API Gateway's integration timeout was raised."
  type        = bool
  default     = false
}

variable "memory_mb" {
  description = "Memory of the classifier; 1,769 MB is one vCPU."
  type        = number
  default     = 1769

  validation {
    condition     = var.memory_mb >= 512 && var.memory_mb <= 10240
    error_message = "memory_mb must lie between 512 and 10240."
  }
}

variable "reserved_concurrency" {
  description = "The most classifiers at a time, and so what a flood can cost; null for the account's limit."
  type        = number
  default     = null
}

variable "provisioned_concurrency" {
  description = "Classifiers that are kept warm, paid for by the hour."
  type        = number
  default     = 0
}

variable "snap_start" {
  description = "Whether classifiers start from a snapshot; excludes provisioned_concurrency."
  type        = bool
  default     = false

  validation {
    condition     = !(var.snap_start && var.provisioned_concurrency > 0)
    error_message = "snap_start and provisioned_concurrency exclude each other: set snap_start = false, or provisioned_concurrency = 0."
  }
}

# ---- Watching, keeping, paying ----

variable "alarm_email" {
  description = "Address that hears of alarms and budgets, after it confirmed; null for none."
  type        = string
  default     = null
}

variable "monthly_budget_usd" {
  description = "What the deployment may cost a month before AWS Budgets tells you."
  type        = number
  default     = 50

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be above 0."
  }
}

variable "candidate_monthly_budget_usd" {
  description = "The same for single candidates, by name; others share the whole."
  type        = map(number)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.candidate_monthly_budget_usd), var.candidates)) == 0
    error_message = "candidate_monthly_budget_usd names somebody who is not among candidates."
  }
}

variable "anomaly_detection" {
  description = "Whether Cost Anomaly Detection watches the deployment; a member account of an organization may not set it up by tag."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days that logs are kept; decision lines hold no prompts."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the spans CloudWatch knows, such as 30, 90 or 365."
  }
}

variable "kms_key_arn" {
  description = "A key of your own, with the statements of modules/encryption_key, from the first apply on: what is there is not encrypted again. null makes one."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/(mrk-)?[0-9a-f-]+$", coalesce(var.kms_key_arn, "-")))
    error_message = "kms_key_arn must be the ARN of a key (not of an alias), without wildcards."
  }
}

variable "manage_api_gateway_log_role" {
  description = "Whether to set the account's role for API Gateway's logs; false where the account has one."
  type        = bool
  default     = true
}

variable "deletion_protection" {
  description = "Whether the tables refuse to be destroyed."
  type        = bool
  default     = false
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete buckets with what they hold: routers and samples."
  type        = bool
  default     = false
}
