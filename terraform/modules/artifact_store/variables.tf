variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the bucket."
  type        = string
}

variable "prefix" {
  description = "Folder of pointer.json and artifacts/."
  type        = string
  default     = "regroup"
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects."
  type        = string
}

variable "publisher_principal_arns" {
  description = "Who may take the publisher's role; empty means whoever in this account may assume roles."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.publisher_principal_arns : can(regex("^arn:[a-z-]+:(iam|sts)::[0-9]{12}:", arn)) && !strcontains(arn, "*")])
    error_message = "publisher_principal_arns must be ARNs of IAM principals, without wildcards."
  }
}

variable "force_destroy" {
  description = "Whether `terraform destroy` may delete the published routers."
  type        = bool
  default     = false
}
