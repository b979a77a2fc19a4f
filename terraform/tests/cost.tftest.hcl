mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                  = "demo"
  candidates            = ["haiku", "sonnet"]
  monthly_usd           = 50
  candidate_monthly_usd = { sonnet = 20 }
  topic_arn             = "arn:aws:sns:ap-northeast-1:123456789012:demo-alerts"
}

run "the_whole_and_each_candidate_have_a_budget" {
  command = plan

  module {
    source = "./modules/cost"
  }

  assert {
    condition     = { for name, budget in aws_budgets_budget.this : name => tonumber(budget.limit_amount) } == { demo = 50, demo-haiku = 50, demo-sonnet = 20 }
    error_message = "There must be a budget for the whole and one for each candidate, with the amounts given."
  }

  assert {
    condition     = alltrue([for budget in aws_budgets_budget.this : budget.budget_type == "COST" && budget.time_unit == "MONTHLY" && budget.limit_unit == "USD"])
    error_message = "A budget is in US dollars a month."
  }

  # format(), because $ before a brace is an escape.
  assert {
    condition = { for name, budget in aws_budgets_budget.this : name => [for filter in budget.cost_filter : [filter.name, one(filter.values)]] } == {
      demo        = [["TagKeyValue", format("user:regroup-deployment$%s", "demo")]]
      demo-haiku  = [["TagKeyValue", format("user:regroup-candidate$%s", "demo/haiku")]]
      demo-sonnet = [["TagKeyValue", format("user:regroup-candidate$%s", "demo/sonnet")]]
    }
    error_message = "A budget must see what bears its tag: user:KEY$VALUE."
  }

  assert {
    condition = alltrue([
      for budget in aws_budgets_budget.this : toset([for one in budget.notification : "${one.notification_type} ${one.threshold}"]) == toset(["ACTUAL 80", "ACTUAL 100", "FORECASTED 100"])
    ])
    error_message = "A budget must tell at 80 and at 100 percent, and when 100 is foreseen."
  }

  assert {
    condition = alltrue(flatten([
      for budget in aws_budgets_budget.this : [
        for one in budget.notification : one.threshold_type == "PERCENTAGE" && one.comparison_operator == "GREATER_THAN" && one.subscriber_sns_topic_arns == toset([var.topic_arn])
      ]
    ]))
    error_message = "A budget must tell the topic."
  }
}

run "an_unusual_cost_is_told_at_once" {
  command = plan

  module {
    source = "./modules/cost"
  }

  variables {
    anomaly_detection = true
  }

  assert {
    condition     = jsondecode(aws_ce_anomaly_monitor.this[0].monitor_specification).Tags == { Key = "regroup-deployment", Values = ["demo"], MatchOptions = null }
    error_message = "The monitor must look at this deployment's costs."
  }

  assert {
    condition     = aws_ce_anomaly_subscription.this[0].frequency == "IMMEDIATE" && one(aws_ce_anomaly_subscription.this[0].subscriber).type == "SNS" && one(aws_ce_anomaly_subscription.this[0].subscriber).address == var.topic_arn
    error_message = "The topic must hear of it at once."
  }

  assert {
    condition     = aws_ce_anomaly_subscription.this[0].threshold_expression[0].dimension[0].key == "ANOMALY_TOTAL_IMPACT_ABSOLUTE" && aws_ce_anomaly_subscription.this[0].threshold_expression[0].dimension[0].values == toset(["10"])
    error_message = "Ten dollars out of the ordinary are told."
  }
}

run "refuses_budgets_of_nothing" {
  command = plan

  module {
    source = "./modules/cost"
  }

  variables {
    monthly_usd           = 0
    candidate_monthly_usd = { haiku = -1 }
    anomaly_usd           = 0
  }

  expect_failures = [var.monthly_usd, var.candidate_monthly_usd, var.anomaly_usd]
}

run "leaves_anomalies_alone_by_default" {
  command = plan

  module {
    source = "./modules/cost"
  }

  assert {
    condition     = length(aws_ce_anomaly_monitor.this) + length(aws_ce_anomaly_subscription.this) == 0
    error_message = "A member account may not watch a tag, and its first apply would end there."
  }
}
