terraform {
  required_version = ">= 1.10.0" # the S3 backend locks by itself since then

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.90, < 7.0"
    }
  }

  # Bucket, key and region come with `terraform init` (`make deploy` gives them).
  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }
}
