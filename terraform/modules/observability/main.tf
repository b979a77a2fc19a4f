# What a person looks at: one dashboard, the saved queries, and the alarms about the whole.
# Each function brings its own alarms (modules/lambda_function).

data "aws_caller_identity" "current" {}

locals {
  queries = {
    for file in fileset(var.queries_folder, "*.cwli") :
    trimsuffix(file, ".cwli") => trimspace(file("${var.queries_folder}/${file}"))
  }

  router = { service = "regroup-classifier" }

  counted = {
    artifact_rejected = {
      what      = "A published router was refused: it stays out, and what was live goes on"
      namespace = var.metrics_namespace
      metric    = "ArtifactRejected"
      dimension = local.router
    }
    dead_letters = {
      what      = "The collector could not take a sample in five tries: it lies among the dead letters"
      namespace = "AWS/SQS"
      metric    = "ApproximateNumberOfMessagesVisible"
      dimension = { QueueName = var.dead_letters_name }
    }
  }

  rates = {
    error_rate = {
      what      = "More than ${var.alarm_error_percent} % of the requests of an hour end in an error of ours (5xx)"
      part      = { namespace = "AWS/ApiGateway", metric = "5XXError", dimensions = { ApiName = var.api_name, Stage = var.api_stage } }
      whole     = { namespace = "AWS/ApiGateway", metric = "Count", dimensions = { ApiName = var.api_name, Stage = var.api_stage } }
      threshold = var.alarm_error_percent
    }
    fallback_rate = {
      what      = "More than ${var.alarm_fallback_percent} % of the calls of models in an hour are passed on to another model"
      part      = { namespace = var.metrics_namespace, metric = "Fallbacks", dimensions = local.router }
      whole     = { namespace = var.metrics_namespace, metric = "Decisions", dimensions = local.router }
      threshold = var.alarm_fallback_percent
    }
  }
}

# Who hears of it

resource "aws_sns_topic" "alerts" {
  name              = "${var.name}-alerts"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "alerts" {
  arn = aws_sns_topic.alerts.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsAndBudgets"
      Effect    = "Allow"
      Principal = { Service = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alerts.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

# The saved queries

resource "aws_cloudwatch_query_definition" "this" {
  for_each = local.queries

  name            = "${var.name}/${each.key}"
  log_group_names = [var.router_log_group]
  query_string    = each.value
}

# Alarms

resource "aws_cloudwatch_metric_alarm" "counted" {
  for_each = local.counted

  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = each.value.what
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimension
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "rate" {
  for_each = local.rates

  alarm_name          = "${var.name}-${replace(each.key, "_", "-")}"
  alarm_description   = each.value.what
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]

  metric_query {
    id          = "rate"
    label       = each.value.what
    return_data = true
    # Of an hour, so that a few requests a day make a rate too; one failure alone is none.
    expression = "IF(part >= 3, 100 * part / whole, 0)"
  }

  dynamic "metric_query" {
    for_each = { part = each.value.part, whole = each.value.whole }

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        dimensions  = metric_query.value.dimensions
        period      = 3600
        stat        = "Sum"
      }
    }
  }
}
