# The bucket of sampled interactions: the one place where prompts are kept, and not for ever.

data "aws_caller_identity" "current" {}

module "bucket" {
  source = "../private_bucket"

  bucket            = "${var.name}-samples-${data.aws_caller_identity.current.account_id}"
  kms_key_arn       = var.kms_key_arn
  force_destroy     = var.force_destroy
  expires_days      = var.retention_days
  old_versions_days = 1
}
