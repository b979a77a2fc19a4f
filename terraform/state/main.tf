# The bucket of Terraform's own state, made once an account: `make state-bucket STATE_BUCKET=<name>`.
# Its own state is a local file a bucket, which may be lost: the bucket stays and goes on serving.

provider "aws" {
  region = var.region
}

module "bucket" {
  source = "../modules/private_bucket"

  bucket            = var.bucket
  old_versions_days = 365
}
