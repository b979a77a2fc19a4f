mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name              = "demo"
  region            = "ap-northeast-1"
  queries_folder    = "./queries"
  metrics_namespace = "demo"
  router_log_group  = "/aws/lambda/demo-classifier"
  function_names    = ["demo-classifier", "demo-collector", "demo-authorizer"]
  api_name          = "demo"
  api_stage         = "live"
  dead_letters_name = "demo-interactions-dead"
  alarm_arns        = ["arn:aws:cloudwatch:ap-northeast-1:123456789012:alarm:demo-classifier-errors"]
  kms_key_arn       = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
}

run "alerts_reach_one_encrypted_topic_of_this_account" {
  module {
    source = "./modules/observability"
  }

  assert {
    condition     = aws_sns_topic.alerts.name == "demo-alerts" && aws_sns_topic.alerts.kms_master_key_id == var.kms_key_arn
    error_message = "The topic must be encrypted with the key that was given."
  }

  assert {
    condition = jsondecode(aws_sns_topic_policy.alerts.policy).Statement == [{
      Sid       = "AlarmsAndBudgets"
      Effect    = "Allow"
      Principal = { Service = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = "arn:aws:sns:ap-northeast-1:123456789012:mock"
      Condition = { StringEquals = { "aws:SourceAccount" = "123456789012" } }
    }]
    error_message = "Only alarms and budgets of this account may write to the topic."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0
    error_message = "Nobody gets mail who was not named."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.counted), values(aws_cloudwatch_metric_alarm.rate)) :
      alarm.alarm_actions == toset([output.topic_arn]) && alarm.ok_actions == toset([output.topic_arn]) && alarm.treat_missing_data == "notBreaching"
    ])
    error_message = "An alarm must reach the topic, and so must its end; silence is no alarm."
  }
}

run "one_rejected_router_or_dead_letter_raises_an_alarm" {
  command = plan

  module {
    source = "./modules/observability"
  }

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.counted : name => [alarm.namespace, alarm.metric_name, alarm.comparison_operator, tostring(alarm.threshold)] } == {
      artifact_rejected = ["demo", "ArtifactRejected", "GreaterThanOrEqualToThreshold", "1"]
      dead_letters      = ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "GreaterThanOrEqualToThreshold", "1"]
    }
    error_message = "A single rejected router or dead letter must be told."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.counted["artifact_rejected"].dimensions == tomap({ service = "regroup-classifier" }) && aws_cloudwatch_metric_alarm.counted["dead_letters"].dimensions == tomap({ QueueName = "demo-interactions-dead" })
    error_message = "An alarm must look where the code counts."
  }
}

run "rates_are_taken_of_enough_requests" {
  command = plan

  module {
    source = "./modules/observability"
  }

  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.rate : name => [alarm.comparison_operator, tostring(alarm.threshold), tostring(alarm.evaluation_periods)] } == { error_rate = ["GreaterThanThreshold", "5", "1"], fallback_rate = ["GreaterThanThreshold", "20", "1"] }
    error_message = "An hour above 5 % errors or 20 % fallbacks must raise an alarm."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.rate : one([for query in alarm.metric_query : query.expression if query.return_data == true]) == "IF(part >= 3, 100 * part / whole, 0)"]) && alltrue(flatten([for alarm in aws_cloudwatch_metric_alarm.rate : [for query in alarm.metric_query : query.metric[0].period == 3600 if length(query.metric) > 0]]))
    error_message = "Three failures of an hour are a rate, at a few requests a day too; one is none."
  }

  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.rate : name => { for query in alarm.metric_query : query.id => [query.metric[0].namespace, query.metric[0].metric_name] if length(query.metric) > 0 }
      } == {
      error_rate    = { part = ["AWS/ApiGateway", "5XXError"], whole = ["AWS/ApiGateway", "Count"] }
      fallback_rate = { part = ["demo", "Fallbacks"], whole = ["demo", "Decisions"] }
    }
    error_message = "A rate must be of the failures and of what they are a part of."
  }
}

run "thresholds_are_the_teams_and_mail_goes_to_it" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    alarm_email            = "team@example.com"
    alarm_error_percent    = 1
    alarm_fallback_percent = 50
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.rate["error_rate"].threshold == 1 && aws_cloudwatch_metric_alarm.rate["fallback_rate"].threshold == 50
    error_message = "The thresholds must be the ones given."
  }

  assert {
    condition     = aws_sns_topic_subscription.email[0].protocol == "email" && aws_sns_topic_subscription.email[0].endpoint == "team@example.com"
    error_message = "The address must hear of alarms."
  }
}

run "every_query_file_is_saved" {
  command = plan

  module {
    source = "./modules/observability"
  }

  assert {
    condition     = { for name, query in aws_cloudwatch_query_definition.this : "${name}.cwli" => query.query_string } == { for file in fileset("./queries", "*.cwli") : file => trimspace(file("./queries/${file}")) }
    error_message = "There must be one saved query for each *.cwli file, with its text."
  }

  assert {
    condition     = length(aws_cloudwatch_query_definition.this) > 0 && alltrue([for name, query in aws_cloudwatch_query_definition.this : query.name == "demo/${name}" && query.log_group_names == tolist(["/aws/lambda/demo-classifier"])])
    error_message = "A query must be found by the deployment's name and read its decision lines."
  }
}

run "the_dashboard_shows_alarms_requests_models_and_functions" {
  command = plan

  module {
    source = "./modules/observability"
  }

  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.type] == ["alarm", "metric", "metric", "metric", "log", "log", "log", "metric"]
    error_message = "The dashboard begins with the alarms, and has its seven widgets after them."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[0].properties.alarms) == 5 && contains(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[0].properties.alarms, var.alarm_arns[0])
    error_message = "All alarms must be on the dashboard, those of the functions too."
  }

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : startswith(widget.properties.query, "SOURCE '/aws/lambda/demo-classifier' | ") if widget.type == "log"])
    error_message = "The dashboard's queries must read the decision lines."
  }

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : widget.properties.region == "ap-northeast-1" && length(widget.properties.title) > 0 if widget.type != "alarm"])
    error_message = "CloudWatch refuses a widget without a region."
  }

  assert {
    condition     = tolist([for metric in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[7].properties.metrics : metric[3]]) == tolist(["demo-authorizer", "demo-classifier", "demo-collector"])
    error_message = "The failures of every function must be shown."
  }
}

run "refuses_an_address_that_is_none_and_percents_beyond_a_hundred" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    alarm_email            = "team"
    alarm_error_percent    = 101
    alarm_fallback_percent = -1
  }

  expect_failures = [var.alarm_email, var.alarm_error_percent, var.alarm_fallback_percent]
}
