# What AWS itself says of the bill, about a day late. The router's own budgets, per key and before each
# call, are what stops a runaway bill; these tell a person.
#
# Filters go by tag: Claude bills under a service name of its own, so a budget on "Amazon Bedrock" never
# sees it. The tags count once they are activated as cost allocation tags (terraform/README.md).

locals {
  budgets = merge(
    { (var.name) = { tag = format("user:regroup-deployment$%s", var.name), usd = var.monthly_usd } },
    {
      for candidate in var.candidates : "${var.name}-${replace(candidate, "/", "-")}" => {
        tag = format("user:regroup-candidate$%s/%s", var.name, candidate)
        usd = lookup(var.candidate_monthly_usd, candidate, var.monthly_usd)
      }
    },
  )

  notifications = [
    { kind = "ACTUAL", percent = 80 },
    { kind = "ACTUAL", percent = 100 },
    { kind = "FORECASTED", percent = 100 },
  ]
}

resource "aws_budgets_budget" "this" {
  for_each = local.budgets

  name         = each.key
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(each.value.usd)
  limit_unit   = "USD"

  cost_filter {
    name   = "TagKeyValue"
    values = [each.value.tag]
  }

  dynamic "notification" {
    for_each = local.notifications

    content {
      notification_type         = notification.value.kind
      comparison_operator       = "GREATER_THAN"
      threshold                 = notification.value.percent
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [var.topic_arn]
    }
  }
}

resource "aws_ce_anomaly_monitor" "this" {
  count = var.anomaly_detection ? 1 : 0

  name         = var.name
  monitor_type = "CUSTOM"

  monitor_specification = jsonencode({
    Tags = {
      Key          = "regroup-deployment"
      Values       = [var.name]
      MatchOptions = null
    }
    And            = null
    CostCategories = null
    Dimensions     = null
    Not            = null
    Or             = null
  })
}

resource "aws_ce_anomaly_subscription" "this" {
  count = var.anomaly_detection ? 1 : 0

  name             = var.name
  frequency        = "IMMEDIATE"
  monitor_arn_list = [aws_ce_anomaly_monitor.this[0].arn]

  subscriber {
    type    = "SNS"
    address = var.topic_arn
  }

  threshold_expression {
    dimension {
      key           = "ANOMALY_TOTAL_IMPACT_ABSOLUTE"
      match_options = ["GREATER_THAN_OR_EQUAL"]
      values        = [tostring(var.anomaly_usd)]
    }
  }
}
