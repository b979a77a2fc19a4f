# One key for everything the deployment keeps: a second would cost another dollar a month.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id

  # In a key's own policy "*" means this key.
  statements = [
    {
      Sid       = "TheAccountGrantsByItsOwnPolicies"
      Effect    = "Allow"
      Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${local.account}:root" }
      Action    = ["kms:*"]
      Resource  = ["*"]
      Condition = {}
    },
    {
      Sid       = "LogGroupsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "logs.${var.region}.amazonaws.com" }
      Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      Resource  = ["*"]
      Condition = {
        ArnLike = {
          "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.current.partition}:logs:${var.region}:${local.account}:log-group:*"
        }
      }
    },
    {
      # No condition on the account: whether alarms would bring it to KMS is not documented, and one that
      # is never heard is worse. The topic's own policy lets nobody of another account in.
      Sid       = "WhoWritesToTheAlertsTopic"
      Effect    = "Allow"
      Principal = { Service = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com"] }
      Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
      Resource  = ["*"]
      Condition = {}
    },
  ]
}

resource "aws_kms_key" "this" {
  description             = "Everything ${var.name} keeps: buckets, tables, queues, logs"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_days

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in local.statements : {
        for word, value in statement : word => value if word != "Condition" || value != {}
      }
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
