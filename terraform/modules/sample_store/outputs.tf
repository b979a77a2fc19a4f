output "bucket" {
  description = "Name of the bucket."
  value       = module.bucket.bucket
}

output "write_statements" {
  description = "What a function needs to store samples; it cannot read them back."
  value = [
    {
      sid       = "StoreSamples"
      actions   = ["s3:PutObject"]
      resources = ["${module.bucket.arn}/interactions/*", "${module.bucket.arn}/rewards/*"]
    },
    {
      sid        = "EncryptSamples"
      actions    = ["kms:GenerateDataKey"]
      resources  = [var.kms_key_arn]
      conditions = { StringEquals = { "kms:ViaService" = ["s3.${var.region}.amazonaws.com"] } }
    },
  ]
}
