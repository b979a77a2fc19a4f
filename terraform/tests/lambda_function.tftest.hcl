mock_provider "aws" {
  source = "./tests/mocks"
}

# Any file stands for a zip: nothing is brought anywhere.
variables {
  name             = "demo-classifier"
  description      = "Routes chats"
  handler          = "classifier.entry.lambda_handler"
  zip_path         = "./catalog.json"
  bucket           = "demo-artifacts"
  alarm_topic_arns = ["arn:aws:sns:ap-northeast-1:123456789012:demo-alerts"]
  kms_key_arn      = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
}

run "costs_nothing_idle" {
  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition     = length(aws_lambda_provisioned_concurrency_config.live) == 0
    error_message = "Nothing must be kept warm, and paid for, unless asked for."
  }

  assert {
    condition     = length(aws_lambda_function.this.snap_start) == 0 && aws_lambda_function.this.reserved_concurrent_executions == null
    error_message = "No snapshot and no reservation unless asked for: a new account has nothing to reserve."
  }

  assert {
    condition     = aws_lambda_function.this.memory_size == 512 && aws_lambda_function.this.timeout == 10
    error_message = "A function is small and short unless told otherwise."
  }

  assert {
    condition     = aws_lambda_function.this.runtime == "python3.12" && aws_lambda_function.this.architectures == tolist(["x86_64"])
    error_message = "onnxruntime runs on x86_64; the layers are built for Python 3.12."
  }
}

run "is_called_by_an_alias_of_a_published_version" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition     = aws_lambda_function.this.publish && aws_lambda_alias.live.name == "live" && aws_lambda_alias.live.function_version == "7"
    error_message = "Callers must meet a published version, or a release cannot be taken back."
  }

  assert {
    condition     = aws_lambda_function.this.s3_key == "packages/demo-classifier-${substr(filesha256("./catalog.json"), 0, 16)}.zip" && aws_lambda_function.this.source_code_hash == filebase64sha256("./catalog.json")
    error_message = "A zip is addressed by its digest, so that a running version keeps its own."
  }
}

run "logs_in_its_own_encrypted_group_for_a_time" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    log_retention_days = 30
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/demo-classifier" && aws_lambda_function.this.logging_config[0].log_group == "/aws/lambda/demo-classifier"
    error_message = "The function must write to the group that is kept in order here."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "Logs must be encrypted and must not be kept, and paid for, for ever."
  }

  assert {
    condition     = aws_lambda_function.this.kms_key_arn == var.kms_key_arn
    error_message = "The function's variables must be encrypted with the key that was given."
  }
}

run "may_write_its_logs_and_nothing_else" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this.policy).Statement == [{
      Sid      = "WriteLogs"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["arn:aws:logs:ap-northeast-1:123456789012:log-group:mock:*"]
    }]
    error_message = "A function that was given no statements may write its own logs alone."
  }

  assert {
    condition     = jsondecode(aws_iam_role.this.assume_role_policy).Statement[0].Principal == { Service = "lambda.amazonaws.com" }
    error_message = "Only Lambda may take the function's role."
  }
}

run "may_do_what_it_was_given_under_its_conditions" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    dead_letter_arn = "arn:aws:sqs:ap-northeast-1:123456789012:demo-dead"
    statements = [
      {
        sid        = "DecryptRouters"
        actions    = ["kms:Decrypt"]
        resources  = ["arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"]
        conditions = { StringEquals = { "kms:ViaService" = ["s3.ap-northeast-1.amazonaws.com"] } }
      },
      {
        sid       = "ReadRouters"
        actions   = ["s3:GetObject"]
        resources = ["arn:aws:s3:::demo-artifacts/regroup/pointer.json", "arn:aws:s3:::demo-artifacts/regroup/artifacts/*"]
      },
      {
        sid       = "AskModels"
        actions   = ["bedrock:InvokeModelWithResponseStream"]
        resources = ["arn:aws:bedrock:ap-northeast-1::foundation-model/amazon.nova-2-lite-v1:0"]
      },
    ]
  }

  assert {
    condition     = [for one in jsondecode(aws_iam_role_policy.this.policy).Statement : one.Sid] == ["WriteLogs", "SendDeadLetters", "DecryptRouters", "ReadRouters", "AskModels"]
    error_message = "Every statement given must be in the policy, after the function's own."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[2].Condition == { StringEquals = { "kms:ViaService" = ["s3.ap-northeast-1.amazonaws.com"] } }
    error_message = "A condition must not get lost: it is what narrows the permission."
  }

  assert {
    condition     = aws_lambda_function.this.dead_letter_config[0].target_arn == var.dead_letter_arn
    error_message = "Dead letters must go to the queue that was given."
  }
}

run "tells_of_errors_and_throttles_and_not_of_slowness" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => [alarm.metric_name, alarm.statistic, tostring(alarm.threshold)] } == { errors = ["Errors", "Sum", "1"], throttles = ["Throttles", "Sum", "1"] }
    error_message = "One error or one throttle in five minutes raises an alarm; without a limit there is no alarm on duration."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.namespace == "AWS/Lambda" && alarm.dimensions == tomap({ FunctionName = "demo-classifier" }) && alarm.comparison_operator == "GreaterThanOrEqualToThreshold" && alarm.treat_missing_data == "notBreaching"])
    error_message = "An alarm must look at this function, and not at silence."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(var.alarm_topic_arns) && alarm.ok_actions == toset(var.alarm_topic_arns)])
    error_message = "An alarm must reach somebody, and so must its end."
  }
}

run "tells_of_slowness_where_there_is_a_limit" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    alarm_p99_ms = 25000
    alarm_errors = 5
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["slow"].extended_statistic == "p99" && aws_cloudwatch_metric_alarm.this["slow"].metric_name == "Duration" && aws_cloudwatch_metric_alarm.this["slow"].threshold == 25000 && aws_cloudwatch_metric_alarm.this["slow"].comparison_operator == "GreaterThanThreshold"
    error_message = "The slowest hundredth of the invocations must be compared with the limit, in milliseconds."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["errors"].threshold == 5
    error_message = "The number of errors must be the one given."
  }
}

run "keeps_the_alias_warm_within_its_reservation" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    provisioned_concurrency = 2
    reserved_concurrency    = 2
  }

  assert {
    condition     = aws_lambda_provisioned_concurrency_config.live[0].provisioned_concurrent_executions == 2 && aws_lambda_provisioned_concurrency_config.live[0].qualifier == "live"
    error_message = "Warm instances must stand behind the alias that is called."
  }

  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 2
    error_message = "The reservation is the most that a flood can cost."
  }
}

run "starts_from_a_snapshot_where_asked" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    snap_start = true
  }

  assert {
    condition     = aws_lambda_function.this.snap_start[0].apply_on == "PublishedVersions"
    error_message = "Published versions must start from a snapshot."
  }
}

run "refuses_a_snapshot_of_warm_instances" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    snap_start              = true
    provisioned_concurrency = 1
  }

  expect_failures = [var.snap_start]
}

run "refuses_more_warm_instances_than_are_reserved" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    provisioned_concurrency = 3
    reserved_concurrency    = 2
  }

  expect_failures = [var.provisioned_concurrency]
}

run "refuses_limits_that_lambda_does_not_know" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    provisioned_concurrency = -1
    memory_mb               = 64
    timeout_seconds         = 901
    handler                 = "classifier"
    zip_path                = "./no-such.zip"
  }

  expect_failures = [var.provisioned_concurrency, var.memory_mb, var.timeout_seconds, var.handler, var.zip_path]
}

run "refuses_a_reservation_that_switches_it_off" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    reserved_concurrency = 0
  }

  expect_failures = [var.reserved_concurrency]
}

run "refuses_every_action_of_a_service" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = [{ sid = "All", actions = ["s3:*"], resources = ["arn:aws:s3:::demo-artifacts"] }]
  }

  expect_failures = [var.statements]
}

run "refuses_actions_that_begin_alike" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = [{ sid = "AllReads", actions = ["s3:GetObject", "s3:Get*"], resources = ["arn:aws:s3:::demo-artifacts"] }]
  }

  expect_failures = [var.statements]
}

run "refuses_every_resource" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = [{ sid = "Everywhere", actions = ["s3:GetObject"], resources = ["*"] }]
  }

  expect_failures = [var.statements]
}

run "refuses_every_resource_of_a_kind" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = [{ sid = "AllTables", actions = ["dynamodb:GetItem"], resources = ["arn:aws:dynamodb:ap-northeast-1:123456789012:table/*"] }]
  }

  expect_failures = [var.statements]
}

run "refuses_names_with_placeholders" {
  command = plan

  module {
    source = "./modules/lambda_function"
  }

  variables {
    statements = [{ sid = "Guess", actions = ["s3:GetObject"], resources = ["arn:aws:s3:::demo-artifact?/regroup/pointer.json"] }]
  }

  expect_failures = [var.statements]
}
