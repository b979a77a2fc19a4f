variable "bucket" {
  description = "Name of the bucket, unique in the world."
  type        = string
}

variable "region" {
  description = "Region of the bucket."
  type        = string
  default     = "ap-northeast-1"
}
