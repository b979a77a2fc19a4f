mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                     = "demo"
  region                   = "ap-northeast-1"
  consumer_arn             = "arn:aws:lambda:ap-northeast-1:123456789012:function:demo-collector:live"
  consumer_timeout_seconds = 30
  kms_key_arn              = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
}

run "a_message_is_tried_again_and_never_lost_unseen" {
  override_resource {
    target = aws_sqs_queue.dead_letters
    values = { arn = "arn:aws:sqs:ap-northeast-1:123456789012:demo-interactions-dead" }
  }

  module {
    source = "./modules/interaction_queue"
  }

  assert {
    condition     = aws_sqs_queue.this.visibility_timeout_seconds == 180
    error_message = "A message must stay invisible for six times the consumer's timeout, as Lambda asks."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.this.redrive_policy) == { deadLetterTargetArn = "arn:aws:sqs:ap-northeast-1:123456789012:demo-interactions-dead", maxReceiveCount = 5 }
    error_message = "A message that fails five times must go to the dead letters."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.dead_letters.redrive_allow_policy) == { redrivePermission = "byQueue", sourceQueueArns = ["arn:aws:sqs:ap-northeast-1:123456789012:demo-interactions"] }
    error_message = "No other queue may use these dead letters."
  }

  assert {
    condition     = aws_sqs_queue.dead_letters.message_retention_seconds == 1209600 && aws_sqs_queue.this.message_retention_seconds == 345600
    error_message = "Dead letters must stay for two weeks, and longer than living ones: their age goes on."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "One bad message must not bring back the nine beside it."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.function_name == var.consumer_arn
    error_message = "The consumer's alias takes the messages."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this.scaling_config[0].maximum_concurrency == 2
    error_message = "A flood of samples must not take the account's concurrency."
  }
}

run "prompts_are_encrypted_and_travel_over_tls" {
  command = plan

  module {
    source = "./modules/interaction_queue"
  }

  assert {
    condition     = aws_sqs_queue.this.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.dead_letters.kms_master_key_id == var.kms_key_arn
    error_message = "Messages hold prompts: both queues must be encrypted with the key that was given."
  }

  assert {
    condition = [for queue in [aws_sqs_queue.this, aws_sqs_queue.dead_letters] : jsondecode(queue.policy).Statement] == [
      for name in ["demo-interactions", "demo-interactions-dead"] : [{
        Sid       = "DenyWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = "arn:aws:sqs:ap-northeast-1:123456789012:${name}"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    ]
    error_message = "Both queues must refuse whoever comes without TLS, and allow nobody by themselves."
  }

  assert {
    condition     = toset(flatten([for one in output.send_statements : one.actions])) == toset(["sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey"])
    error_message = "Who sends must not be able to read what others sent."
  }

  assert {
    condition     = toset(flatten([for one in output.receive_statements : one.actions])) == toset(["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "kms:Decrypt"])
    error_message = "Who receives must not be able to send."
  }

  assert {
    condition     = alltrue([for one in concat(output.send_statements, output.receive_statements) : one.conditions == { StringEquals = { "kms:ViaService" = ["sqs.ap-northeast-1.amazonaws.com"] } } if contains(one.actions, "kms:Decrypt")])
    error_message = "The key may be used through SQS alone."
  }
}

run "refuses_few_deliveries_and_an_endless_consumer" {
  command = plan

  module {
    source = "./modules/interaction_queue"
  }

  variables {
    most_deliveries          = 4
    consumer_timeout_seconds = 7201
  }

  expect_failures = [var.most_deliveries, var.consumer_timeout_seconds]
}
