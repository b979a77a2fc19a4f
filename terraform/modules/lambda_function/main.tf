# One function: its zip, its role with its own policy, its log group, its alias and its alarms.

data "aws_partition" "current" {}

locals {
  sha256 = filesha256(var.zip_path)

  log_statements = [{
    sid        = "WriteLogs"
    actions    = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources  = ["${aws_cloudwatch_log_group.this.arn}:*"]
    conditions = {}
  }]

  dead_letter_statements = var.dead_letter_arn == null ? [] : [{
    sid        = "SendDeadLetters"
    actions    = ["sqs:SendMessage"]
    resources  = [var.dead_letter_arn]
    conditions = {}
  }]

  policy = {
    Version = "2012-10-17"
    Statement = [
      for one in concat(local.log_statements, local.dead_letter_statements, var.statements) : {
        for word, value in {
          Sid       = one.sid
          Effect    = "Allow"
          Action    = one.actions
          Resource  = one.resources
          Condition = one.conditions
        } : word => value if word != "Condition" || try(length(value) > 0, false)
      }
    ]
  }

  alarms = {
    for name, alarm in {
      errors = {
        what      = "Invocations of ${var.name} fail"
        metric    = "Errors"
        statistic = "Sum"
        extended  = null
        threshold = var.alarm_errors
      }
      throttles = {
        what      = "Lambda turns invocations of ${var.name} away: its concurrency is used up"
        metric    = "Throttles"
        statistic = "Sum"
        extended  = null
        threshold = 1
      }
      slow = {
        what      = "One invocation of ${var.name} in a hundred takes longer than ${coalesce(var.alarm_p99_ms, 0)} ms"
        metric    = "Duration"
        statistic = null
        extended  = "p99"
        threshold = var.alarm_p99_ms
      }
    } : name => alarm if alarm.threshold != null
  }
}

resource "aws_s3_object" "zip" {
  bucket = var.bucket
  # By digest: another zip is another object, and a running version keeps its own.
  key         = "packages/${var.name}-${substr(local.sha256, 0, 16)}.zip"
  source      = var.zip_path
  source_hash = local.sha256
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "this" {
  name        = var.name
  description = "What the function ${var.name} may do, and nothing else"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name   = "own"
  role   = aws_iam_role.this.id
  policy = jsonencode(local.policy)
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:tracing costs 0.26 s of every cold start; each decision line has its times
  #checkov:skip=CKV_AWS_116:nobody invokes it asynchronously; the queue has a dead-letter queue of its own
  #checkov:skip=CKV_AWS_117:it reaches AWS's own services only, over TLS; a VPC would cost endpoints and a slower start
  #checkov:skip=CKV_AWS_272:zips are addressed by digest; a signing profile is the account's to keep
  function_name                  = var.name
  description                    = var.description
  role                           = aws_iam_role.this.arn
  handler                        = var.handler
  runtime                        = "python3.12"
  architectures                  = ["x86_64"] # onnxruntime aborts on Lambda's arm64: microsoft/onnxruntime#10038
  layers                         = var.layers
  s3_bucket                      = aws_s3_object.zip.bucket
  s3_key                         = aws_s3_object.zip.key
  source_code_hash               = filebase64sha256(var.zip_path)
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency
  kms_key_arn                    = var.kms_key_arn
  publish                        = true

  environment {
    variables = var.environment
  }

  logging_config {
    # The functions write JSON lines themselves.
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this.name
  }

  dynamic "snap_start" {
    for_each = var.snap_start ? [true] : []

    content {
      apply_on = "PublishedVersions"
    }
  }

  dynamic "dead_letter_config" {
    for_each = var.dead_letter_arn == null ? [] : [var.dead_letter_arn]

    content {
      target_arn = dead_letter_config.value
    }
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that is called"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

resource "aws_lambda_provisioned_concurrency_config" "live" {
  count = var.provisioned_concurrency > 0 ? 1 : 0

  function_name                     = aws_lambda_function.this.function_name
  qualifier                         = aws_lambda_alias.live.name
  provisioned_concurrent_executions = var.provisioned_concurrency
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.what
  namespace           = "AWS/Lambda"
  metric_name         = each.value.metric
  dimensions          = { FunctionName = aws_lambda_function.this.function_name }
  statistic           = each.value.statistic
  extended_statistic  = each.value.extended
  period              = 300
  evaluation_periods  = 1
  comparison_operator = each.key == "slow" ? "GreaterThanThreshold" : "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_topic_arns
  ok_actions          = var.alarm_topic_arns
}
