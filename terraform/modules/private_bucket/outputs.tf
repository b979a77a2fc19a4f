output "bucket" {
  description = "Name of the bucket, once it is closed, encrypted and versioned."
  value       = aws_s3_bucket.this.id

  depends_on = [
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_public_access_block.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
  ]
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "policy" {
  description = "The bucket's policy, as an object."
  value       = jsondecode(aws_s3_bucket_policy.this.policy)
}

output "kept_days" {
  description = "Days that objects and their old versions are kept; null for ever."
  value = {
    objects = one(flatten([
      for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.expiration[*].days if rule.status == "Enabled"
    ]))
    old_versions = one(flatten([
      for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.noncurrent_version_expiration[*].noncurrent_days if rule.status == "Enabled"
    ]))
  }
}
