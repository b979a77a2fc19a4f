# What the router remembers: predictions (the cache), conversations, keys with their budgets, decisions.

locals {
  # expire_at is seconds since 1970; DynamoDB deletes late, so the code looks at it too.
  ttl_attribute = "expire_at"

  tables = {
    predictions = "query_hash"
    sessions    = "session_id"
    keys        = "key_id"
    decisions   = "decision_id"
  }

  via_dynamodb = { StringEquals = { "kms:ViaService" = ["dynamodb.${var.region}.amazonaws.com"] } }
}

resource "aws_dynamodb_table" "this" {
  for_each = local.tables

  name                        = "${var.name}-${each.key}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = each.value
    type = "S"
  }

  ttl {
    enabled        = true
    attribute_name = local.ttl_attribute
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
