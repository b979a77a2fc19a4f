output "bucket" {
  description = "Name of the bucket, once it may be written to."
  value       = module.bucket.bucket
}

output "pointer_uri" {
  description = "Where the pointer to the live router lies."
  value       = "s3://${module.bucket.bucket}/${var.prefix}/pointer.json"
}

output "publisher_role_arn" {
  description = "The role that `regroup publish` takes."
  value       = aws_iam_role.publisher.arn
}

output "read_statements" {
  description = "What a function needs to load routers and catalogs."
  value = [
    {
      sid       = "ReadRoutersAndCatalogs"
      actions   = ["s3:GetObject"]
      resources = [local.pointer, local.artifacts, "${local.arn}/catalog/*"]
    },
    {
      # S3 answers "not found" to those who may list, and "forbidden" to others: without a pointer
      # the classifier must know that there is none.
      sid       = "TellMissingFromForbidden"
      actions   = ["s3:ListBucket"]
      resources = [local.arn]
    },
    {
      sid        = "DecryptRouters"
      actions    = ["kms:Decrypt"]
      resources  = [var.kms_key_arn]
      conditions = local.via_s3
    },
  ]
}
