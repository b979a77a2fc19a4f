output "tables" {
  description = "Names of the tables: predictions, sessions, keys, decisions."
  value       = { for kind, table in aws_dynamodb_table.this : kind => table.name }
}

output "router_statements" {
  description = "What the classifier needs of the tables; it reads no key's hash."
  value = [
    {
      sid       = "RememberPredictionsSessionsDecisions"
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
      resources = [for kind in ["predictions", "sessions", "decisions"] : aws_dynamodb_table.this[kind].arn]
    },
    {
      sid       = "CountBudgets"
      actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
      resources = [aws_dynamodb_table.this["keys"].arn]
    },
    {
      sid        = "UseTheKeyThroughDynamoDb"
      actions    = ["kms:Decrypt"]
      resources  = [var.kms_key_arn]
      conditions = local.via_dynamodb
    },
  ]
}

output "authorizer_statements" {
  description = "What the authorizer needs: to read one key."
  value = [
    {
      sid       = "ReadKeys"
      actions   = ["dynamodb:GetItem"]
      resources = [aws_dynamodb_table.this["keys"].arn]
    },
    {
      sid        = "UseTheKeyThroughDynamoDb"
      actions    = ["kms:Decrypt"]
      resources  = [var.kms_key_arn]
      conditions = local.via_dynamodb
    },
  ]
}
