variable "name" {
  description = "Name of the layer."
  type        = string
}

variable "description" {
  description = "What is in it."
  type        = string
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
