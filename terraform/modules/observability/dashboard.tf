# Read from the top: is anything wrong, how much is asked, who answers, how well, at what cost.

locals {
  source = "SOURCE '${var.router_log_group}' | "

  function_metrics = { for name in var.function_names : name => ["AWS/Lambda", "Errors", "FunctionName", name] }

  api = ["ApiName", var.api_name, "Stage", var.api_stage]

  widgets = [
    {
      type   = "alarm"
      width  = 24
      height = 3
      properties = {
        title = "Is anything wrong?"
        alarms = concat(
          [for alarm in aws_cloudwatch_metric_alarm.rate : alarm.arn],
          [for alarm in aws_cloudwatch_metric_alarm.counted : alarm.arn],
          var.alarm_arns,
        )
      }
    },
    {
      type   = "metric"
      width  = 8
      height = 6
      properties = {
        title  = "Requests and errors"
        view   = "timeSeries"
        region = var.region
        stat   = "Sum"
        period = 300
        metrics = [
          concat(["AWS/ApiGateway", "Count"], local.api, [{ label = "requests" }]),
          concat(["AWS/ApiGateway", "4XXError"], local.api, [{ label = "refused (4xx)" }]),
          concat(["AWS/ApiGateway", "5XXError"], local.api, [{ label = "failed (5xx)", color = "#d62728" }]),
        ]
      }
    },
    {
      type   = "metric"
      width  = 8
      height = 6
      properties = {
        title  = "Time to the whole answer, ms"
        view   = "timeSeries"
        region = var.region
        period = 300
        metrics = [
          concat(["AWS/ApiGateway", "Latency"], local.api, [{ stat = "p50", label = "median" }]),
          concat(["AWS/ApiGateway", "Latency"], local.api, [{ stat = "p99", label = "99th percentile" }]),
        ]
      }
    },
    {
      type   = "metric"
      width  = 8
      height = 6
      properties = {
        title  = "Passed on to another model, and cold starts"
        view   = "timeSeries"
        region = var.region
        stat   = "Sum"
        period = 300
        metrics = [
          [var.metrics_namespace, "Fallbacks", "service", local.router.service, { label = "passed on" }],
          [var.metrics_namespace, "ColdStart", "service", local.router.service, { label = "cold starts" }],
        ]
      }
    },
    {
      type   = "log"
      width  = 8
      height = 6
      properties = {
        title  = "Who answers"
        region = var.region
        view   = "pie"
        query  = "${local.source}filter event = 'decision' and not ispresent(dry_run) | stats count() by routed_model"
      }
    },
    {
      type   = "log"
      width  = 8
      height = 6
      properties = {
        title  = "Mean reward by model"
        region = var.region
        view   = "bar"
        query  = "${local.source}filter event = 'reward_scored' | stats avg(reward_score) by routed_model"
      }
    },
    {
      type   = "log"
      width  = 8
      height = 6
      properties = {
        title  = "What the models cost, USD"
        region = var.region
        view   = "bar"
        query  = "${local.source}filter event = 'decision' and ispresent(cost_usd) | stats sum(cost_usd) by routed_model"
      }
    },
    {
      type   = "metric"
      width  = 24
      height = 4
      properties = {
        title   = "Failed invocations by function"
        view    = "timeSeries"
        region  = var.region
        stat    = "Sum"
        period  = 300
        metrics = values(local.function_metrics)
      }
    },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = local.widgets })
}
