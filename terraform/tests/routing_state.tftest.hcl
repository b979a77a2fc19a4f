mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "demo"
  region      = "ap-northeast-1"
  kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
}

run "tables_cost_nothing_idle_forget_in_time_and_can_be_restored" {
  override_resource {
    target = aws_dynamodb_table.this["keys"]
    values = { arn = "arn:aws:dynamodb:ap-northeast-1:123456789012:table/demo-keys" }
  }

  module {
    source = "./modules/routing_state"
  }

  assert {
    condition     = { for kind, table in aws_dynamodb_table.this : kind => table.hash_key } == { predictions = "query_hash", sessions = "session_id", keys = "key_id", decisions = "decision_id" }
    error_message = "The code reads four tables by these keys."
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.range_key == null && one(table.attribute).name == table.hash_key && one(table.attribute).type == "S"])
    error_message = "A table has one key, a string."
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.billing_mode == "PAY_PER_REQUEST"])
    error_message = "Tables must be paid for by the request: idle ones cost nothing."
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.point_in_time_recovery[0].enabled])
    error_message = "Tables must be recoverable to any second."
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.ttl[0].enabled && table.ttl[0].attribute_name == "expire_at"])
    error_message = "Rows must go at expire_at."
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.server_side_encryption[0].enabled && table.server_side_encryption[0].kms_key_arn == var.kms_key_arn])
    error_message = "Tables must be encrypted with the key that was given."
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : !table.deletion_protection_enabled])
    error_message = "Protection against deletion is off unless asked for."
  }

  assert {
    condition     = output.tables == { predictions = "demo-predictions", sessions = "demo-sessions", keys = "demo-keys", decisions = "demo-decisions" }
    error_message = "Tables are called after the deployment."
  }

  assert {
    condition     = { for one in output.authorizer_statements : one.sid => one.actions } == { ReadKeys = ["dynamodb:GetItem"], UseTheKeyThroughDynamoDb = ["kms:Decrypt"] }
    error_message = "The authorizer reads one key by name; it neither lists nor changes keys."
  }

  assert {
    condition     = output.authorizer_statements[0].resources == ["arn:aws:dynamodb:ap-northeast-1:123456789012:table/demo-keys"]
    error_message = "The authorizer sees the table of keys alone."
  }

  assert {
    condition     = { for one in output.router_statements : one.sid => one.actions } == { RememberPredictionsSessionsDecisions = ["dynamodb:GetItem", "dynamodb:PutItem"], CountBudgets = ["dynamodb:GetItem", "dynamodb:UpdateItem"], UseTheKeyThroughDynamoDb = ["kms:Decrypt"] }
    error_message = "The classifier reads and writes single rows; it neither scans nor deletes."
  }

  assert {
    condition     = alltrue([for one in output.router_statements : one.resources == ["arn:aws:dynamodb:ap-northeast-1:123456789012:table/demo-keys"] if one.sid == "CountBudgets"])
    error_message = "Budgets are counted in the table of keys."
  }

  assert {
    condition     = alltrue([for one in output.router_statements : !contains(one.resources, "arn:aws:dynamodb:ap-northeast-1:123456789012:table/demo-keys") if contains(one.actions, "dynamodb:PutItem")])
    error_message = "The classifier must not be able to make a key."
  }

  assert {
    condition     = alltrue([for one in concat(output.router_statements, output.authorizer_statements) : one.conditions.StringEquals["kms:ViaService"] == ["dynamodb.ap-northeast-1.amazonaws.com"] if contains(one.actions, "kms:Decrypt")])
    error_message = "The key may be used through DynamoDB alone."
  }
}

run "tables_refuse_to_be_destroyed_where_asked" {
  command = plan

  module {
    source = "./modules/routing_state"
  }

  variables {
    deletion_protection = true
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.deletion_protection_enabled])
    error_message = "Every table must be protected, keys and budgets included."
  }
}
