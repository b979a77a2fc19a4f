# Sampled interactions on their way to the collector, and the queue of those it could not take.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  prefix = "arn:${data.aws_partition.current.partition}:sqs:${var.region}:${data.aws_caller_identity.current.account_id}"
  names  = { interactions = "${var.name}-interactions", dead_letters = "${var.name}-interactions-dead" }
  arns   = { for what, name in local.names : what => "${local.prefix}:${name}" }

  tls_only = {
    for what, arn in local.arns : what => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "DenyWithoutTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }]
    })
  }

  via_sqs = { StringEquals = { "kms:ViaService" = ["sqs.${var.region}.amazonaws.com"] } }
}

resource "aws_sqs_queue" "this" {
  name                       = local.names.interactions
  kms_master_key_id          = var.kms_key_arn
  message_retention_seconds  = 4 * 24 * 3600
  visibility_timeout_seconds = 6 * var.consumer_timeout_seconds
  policy                     = local.tls_only.interactions

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.most_deliveries
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = local.names.dead_letters
  kms_master_key_id         = var.kms_key_arn
  message_retention_seconds = 14 * 24 * 3600
  policy                    = local.tls_only.dead_letters

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.arns.interactions]
  })
}

resource "aws_lambda_event_source_mapping" "this" {
  event_source_arn                   = aws_sqs_queue.this.arn
  function_name                      = var.consumer_arn
  batch_size                         = 10
  maximum_batching_window_in_seconds = 5
  # A message that fails is delivered again alone, not with the nine beside it.
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = 2
  }
}
