variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "region" {
  description = "Region of the deployment."
  type        = string
}

variable "us_region" {
  description = "Region of the second provider, for candidates that live in the US."
  type        = string
}

variable "catalog_path" {
  description = "The catalog file."
  type        = string

  validation {
    condition     = fileexists(var.catalog_path)
    error_message = "The catalog is not there."
  }
}

variable "candidates" {
  description = "Names of the candidates that are deployed."
  type        = set(string)

  validation {
    condition     = length(var.candidates) > 0
    error_message = "At least one candidate must be deployed: nobody else can answer."
  }
}

variable "bucket" {
  description = "Bucket of the rendered catalog."
  type        = string
}
