# The bucket of catalogs, packages and routers, and the one role that publishes a router.
#
# Terraform writes catalog/ and packages/. It owns neither pointer.json nor anything below artifacts/:
# `regroup publish` does, and an apply must never roll the live router back.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  bucket  = "${var.name}-artifacts-${local.account}"
  arn     = "arn:${data.aws_partition.current.partition}:s3:::${local.bucket}"

  pointer   = "${local.arn}/${var.prefix}/pointer.json"
  artifacts = "${local.arn}/${var.prefix}/artifacts/*"

  publisher_name = "${var.name}-publisher"
  publisher_arn  = "arn:${data.aws_partition.current.partition}:iam::${local.account}:role/${local.publisher_name}"
  publishers     = coalescelist(var.publisher_principal_arns, ["arn:${data.aws_partition.current.partition}:iam::${local.account}:root"])

  via_s3 = { StringEquals = { "kms:ViaService" = ["s3.${var.region}.amazonaws.com"] } }
}

module "bucket" {
  source = "../private_bucket"

  bucket        = local.bucket
  kms_key_arn   = var.kms_key_arn
  force_destroy = var.force_destroy

  deny_statements = [
    {
      Sid       = "DenyPublishingByOthers"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject"]
      Resource  = [local.pointer, local.artifacts]
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = local.publisher_arn } }
    },
    {
      # Two publishers at once: the second is told, and overwrites nothing.
      Sid       = "DenyUnconditionalWrites"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject"]
      Resource  = [local.pointer, local.artifacts]
      Condition = { Null = { "s3:if-match" = "true", "s3:if-none-match" = "true" } }
    },
    {
      # A destroy takes this policy away before it empties the bucket.
      Sid       = "DenyDeletingRouters"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      Resource  = [local.pointer, local.artifacts]
      Condition = {}
    },
  ]
}

resource "aws_iam_role" "publisher" {
  name                 = local.publisher_name
  description          = "Publishes routers of ${var.name}: writes artifacts and moves the pointer"
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = local.publishers }
    }]
  })
}

resource "aws_iam_role_policy" "publisher" {
  name = "publish"
  role = aws_iam_role.publisher.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadAndWriteRouters"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = [local.pointer, local.artifacts]
      },
      {
        # S3 answers "not found" to those who may list, and "forbidden" to others.
        Sid      = "TellMissingFromForbidden"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [local.arn]
      },
      {
        Sid       = "UseTheKeyThroughS3"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.kms_key_arn]
        Condition = local.via_s3
      },
    ]
  })
}
