mock_provider "aws" {
  source = "./tests/mocks"
}

mock_provider "aws" {
  alias = "us"

  mock_resource "aws_bedrock_inference_profile" {
    defaults = { arn = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/us" }
  }
}

variables {
  name = "demo"
}

run "needs_only_a_name_and_grants_no_more_than_it_uses" {
  assert {
    condition     = output.name == "demo" && output.region == "ap-northeast-1"
    error_message = "The deployment stands in Tokyo unless told otherwise."
  }

  assert {
    condition     = length(module.key) == 1 && length(module.authorizer) == 1
    error_message = "The deployment makes a key and checks API keys unless told otherwise."
  }

  assert {
    condition     = keys(module.candidates.profile_arns) == ["haiku", "nova-lite", "sonnet"]
    error_message = "Three candidates that answer in Japan are deployed unless told otherwise."
  }

  assert {
    condition     = module.cost.budget_names == tolist(["demo", "demo-haiku", "demo-nova-lite", "demo-sonnet"])
    error_message = "The whole and each candidate must have a budget."
  }

  assert {
    condition     = output.log_groups == { api = "/aws/apigateway/demo", authorizer = "/aws/lambda/demo-authorizer", classifier = "/aws/lambda/demo-classifier", collector = "/aws/lambda/demo-collector" }
    error_message = "An operator must find every log."
  }

  assert {
    condition     = length(output.query_names) == length(fileset("./queries", "*.cwli"))
    error_message = "Every query must be saved."
  }

  assert {
    condition     = endswith(output.dashboard_url, "region=ap-northeast-1#dashboards:name=demo") && startswith(output.pointer_uri, "s3://") && startswith(output.catalog_uri, "s3://")
    error_message = "The outputs must lead to what they name."
  }

  assert {
    condition     = [for function in [module.classifier, module.collector, module.authorizer[0]] : length(function.alarm_arns)] == [3, 2, 1]
    error_message = "Every function must have its alarms, the classifier one on its duration, and the authorizer none on the keys it refuses."
  }

  assert {
    condition = toset(keys(local.classifier_environment)) == toset([
      "CATALOG_URI", "POINTER_URI", "POINTER_CHECK_SECONDS", "CACHE_TABLE", "CACHE_TTL_SECONDS", "SESSIONS_TABLE", "KEYS_TABLE",
      "BUDGET_WHEN_UNKNOWN", "DECISIONS_TABLE", "TIMEZONE", "SAMPLE_QUEUE_URL", "SAMPLE_RATE", "EXPLORE_SHARE", "EXPLORE_FLOOR",
      "EXPLORE_MAX_COST_USD", "DEFAULT_PRESET", "POWERTOOLS_METRICS_NAMESPACE",
    ])
    error_message = "The classifier gets a variable more or less than it reads; unset ones must stay away."
  }

  assert {
    condition = { for name, value in local.classifier_environment : name => value if contains(["CACHE_TABLE", "SESSIONS_TABLE", "KEYS_TABLE", "DECISIONS_TABLE"], name) } == {
      CACHE_TABLE = "demo-predictions", SESSIONS_TABLE = "demo-sessions", KEYS_TABLE = "demo-keys", DECISIONS_TABLE = "demo-decisions"
    }
    error_message = "A table is given under another table's name."
  }

  assert {
    condition = toset(flatten([for one in module.classifier.policy.Statement : one.Action])) == toset([
      "logs:CreateLogStream", "logs:PutLogEvents", "bedrock:InvokeModelWithResponseStream", "s3:GetObject", "s3:ListBucket",
      "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "sqs:SendMessage", "kms:Decrypt", "kms:GenerateDataKey",
    ])
    error_message = "The classifier asks models, reads routers, keeps single rows and sends samples."
  }

  assert {
    condition     = toset(flatten([for one in module.authorizer[0].policy.Statement : one.Action])) == toset(["logs:CreateLogStream", "logs:PutLogEvents", "dynamodb:GetItem", "kms:Decrypt"])
    error_message = "The authorizer reads a key."
  }

  assert {
    condition = toset(flatten([for one in module.collector.policy.Statement : one.Action])) == toset([
      "logs:CreateLogStream", "logs:PutLogEvents", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "s3:PutObject", "kms:Decrypt", "kms:GenerateDataKey",
    ])
    error_message = "The collector takes messages and stores samples."
  }

  assert {
    condition = alltrue(flatten([
      for function in [module.classifier, module.collector, module.authorizer[0]] : [
        for one in function.policy.Statement : [for arn in one.Resource : can(regex("^arn:aws:[a-z0-9]+:[a-z0-9-]*:[0-9]*:([^*?]+|[^*?/]+/[^*?]+/\\*)$", arn))] if one.Sid != "WriteLogs"
      ]
    ]))
    error_message = "A permission must name what it is for."
  }

  assert {
    condition     = keys(module.api.body.components.securitySchemes) == ["key"]
    error_message = "Callers must show an API key."
  }

  assert {
    condition     = [for path, methods in module.api.body.paths : path if anytrue([for operation in values(methods) : !can(operation.security)])] == ["/healthz"]
    error_message = "Only /healthz may be open."
  }
}

run "leaves_callers_to_iam_where_told" {
  command = plan

  variables {
    auth = "iam"
  }

  assert {
    condition     = length(module.authorizer) == 0 && !contains(keys(output.log_groups), "authorizer")
    error_message = "There must be no authorizer."
  }

  assert {
    condition     = keys(module.api.body.components.securitySchemes) == ["iam"]
    error_message = "Callers must sign their requests."
  }
}

run "takes_a_key_of_the_accounts_own" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef"
  }

  assert {
    condition     = length(module.key) == 0 && local.kms_key_arn == "arn:aws:kms:ap-northeast-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef"
    error_message = "A second key would cost a dollar a month."
  }
}

run "plans_to_try_things" {
  command = plan

  variables {
    name               = "demo-dev"
    candidates         = ["haiku", "sonnet", "nova-lite", "llama-70b"]
    sample_rate        = 0.5
    explore_share      = 0.1
    force_destroy      = true
    log_retention_days = 30
    monthly_budget_usd = 20
  }

  assert {
    condition     = keys(module.candidates.profile_arns) == ["haiku", "llama-70b", "nova-lite", "sonnet"] && length(module.cost.budget_names) == 5
    error_message = "Llama must be a candidate, and have a budget."
  }

  assert {
    condition     = local.classifier_environment["SAMPLE_RATE"] == "0.5" && local.classifier_environment["EXPLORE_SHARE"] == "0.1"
    error_message = "The shares must reach the classifier."
  }
}

run "plans_for_traffic_that_counts" {
  command = plan

  variables {
    name                         = "demo-prod"
    residency                    = "jp"
    default_candidate            = "haiku"
    reserved_concurrency         = 50
    provisioned_concurrency      = 2
    deletion_protection          = true
    log_retention_days           = 365
    monthly_budget_usd           = 200
    candidate_monthly_budget_usd = { sonnet = 100 }
    alarm_email                  = "team@example.com"
    waf                          = true
    publisher_principal_arns     = ["arn:aws:iam::123456789012:role/pipeline"]
    domain = {
      name            = "router.example.com"
      certificate_arn = "arn:aws:acm:ap-northeast-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"
    }
  }

  assert {
    condition     = local.classifier_environment["RESIDENCY"] == "jp" && local.classifier_environment["DEFAULT_CANDIDATE"] == "haiku"
    error_message = "Residency must reach the classifier: it keeps prompts in Japan."
  }

  assert {
    condition     = output.api_url == "https://router.example.com"
    error_message = "Clients must be sent to the name of one's own."
  }
}

run "takes_the_least_and_the_most_of_everything" {
  command = plan

  variables {
    name                         = "a-b"
    region                       = "us-west-2"
    us_region                    = "us-west-2"
    residency                    = "us"
    candidates                   = ["llama-70b"]
    default_candidate            = "llama-70b"
    default_preset               = "economy"
    timezone                     = "America/Argentina/Buenos_Aires"
    sample_rate                  = 0
    explore_share                = 1
    explore_floor                = 0.5
    explore_max_cost_usd         = null
    pointer_check_seconds        = 3600
    cache_ttl_seconds            = 1
    budget_when_unknown          = "closed"
    requests_per_second          = 1
    burst                        = 1
    vpc_endpoint_ids             = ["vpce-0123456789abcdef0"]
    gateway_timeout_seconds      = 300
    gateway_timeout_quota_raised = true
    memory_mb                    = 10240
    snap_start                   = true
    log_retention_days           = 1
    monthly_budget_usd           = 0.01
  }

  assert {
    condition     = !contains(keys(local.classifier_environment), "EXPLORE_MAX_COST_USD")
    error_message = "No limit must mean none."
  }

  assert {
    condition     = alltrue(flatten([for methods in values(module.api.body.paths) : [for operation in values(methods) : operation["x-amazon-apigateway-integration"].timeoutInMillis == 300000]]))
    error_message = "The gateway must wait as long as it was told."
  }
}

run "refuses_values_below_their_bounds" {
  command = plan

  variables {
    name                    = "no"
    timezone                = "JST"
    package_folder          = "./no-such-folder"
    us_region               = "ap-northeast-1"
    default_preset          = "cheap"
    sample_rate             = -0.1
    explore_share           = -0.1
    explore_floor           = -0.1
    explore_max_cost_usd    = -1
    pointer_check_seconds   = -1
    cache_ttl_seconds       = 0
    auth                    = "open"
    budget_when_unknown     = "maybe"
    requests_per_second     = 0
    burst                   = 0
    vpc_endpoint_ids        = ["vpc-0123456789abcdef0"]
    gateway_timeout_seconds = 9
    memory_mb               = 511
    monthly_budget_usd      = 0
    log_retention_days      = 31
    kms_key_arn             = "arn:aws:kms:ap-northeast-1:123456789012:alias/demo"
  }

  expect_failures = [
    var.name, var.timezone, var.package_folder, var.us_region, var.default_preset, var.sample_rate, var.explore_share,
    var.explore_floor, var.explore_max_cost_usd, var.pointer_check_seconds, var.cache_ttl_seconds, var.auth, var.budget_when_unknown,
    var.requests_per_second, var.burst, var.vpc_endpoint_ids, var.gateway_timeout_seconds, var.memory_mb, var.monthly_budget_usd,
    var.log_retention_days, var.kms_key_arn,
  ]
}

run "refuses_values_above_their_bounds" {
  command = plan

  variables {
    name                         = "Demo"
    timezone                     = "Asia/Tokyo; drop"
    sample_rate                  = 1.1
    explore_share                = 1.1
    explore_floor                = 0.6
    pointer_check_seconds        = 3601
    gateway_timeout_seconds      = 301
    gateway_timeout_quota_raised = true
    memory_mb                    = 10241
    kms_key_arn                  = "arn:aws:kms:ap-northeast-1:123456789012:key/*"
  }

  expect_failures = [
    var.name, var.timezone, var.sample_rate, var.explore_share, var.explore_floor, var.pointer_check_seconds,
    var.gateway_timeout_seconds, var.memory_mb, var.kms_key_arn,
  ]
}

run "refuses_a_region_and_a_catalog_that_are_not_there" {
  command = plan

  variables {
    region  = "tokyo"
    catalog = "no-such.json"
  }

  expect_failures = [var.region, var.catalog]
}

# Above 29 seconds without the raised quota, warm instances of a snapshot, a public name for a private API.
run "refuses_what_aws_would_refuse_together" {
  command = plan

  variables {
    gateway_timeout_seconds = 30
    snap_start              = true
    provisioned_concurrency = 1
    vpc_endpoint_ids        = ["vpce-0123456789abcdef0"]
    domain = {
      name            = "router.example.com"
      certificate_arn = "arn:aws:acm:ap-northeast-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"
    }
  }

  expect_failures = [var.gateway_timeout_seconds, var.snap_start, var.vpc_endpoint_ids]
}

run "refuses_a_candidate_that_the_catalog_lacks" {
  command = plan

  variables {
    candidates = ["haiku", "gpt"]
  }

  expect_failures = [var.candidates]
}

run "refuses_to_have_nobody_who_answers" {
  command = plan

  variables {
    candidates = []
  }

  expect_failures = [var.candidates]
}

run "refuses_a_candidate_of_a_third_region" {
  command = plan

  variables {
    candidates = ["haiku", "llama-70b"]
    us_region  = "us-east-1"
  }

  expect_failures = [var.candidates]
}

run "refuses_candidates_that_residency_leaves_out" {
  command = plan

  variables {
    residency  = "jp"
    candidates = ["llama-70b"]
  }

  expect_failures = [var.candidates]
}

run "refuses_a_residency_that_is_unknown" {
  command = plan

  variables {
    residency = "eu"
  }

  expect_failures = [var.residency]
}

run "refuses_a_deployment_outside_its_residency" {
  command = plan

  variables {
    region     = "us-west-2"
    residency  = "jp"
    candidates = ["llama-70b"]
  }

  expect_failures = [var.residency]
}

run "refuses_a_default_that_is_no_candidate" {
  command = plan

  variables {
    candidates        = ["haiku"]
    default_candidate = "sonnet"
  }

  expect_failures = [var.default_candidate]
}

run "refuses_a_default_that_residency_leaves_out" {
  command = plan

  variables {
    residency         = "jp"
    candidates        = ["haiku", "llama-70b"]
    default_candidate = "llama-70b"
  }

  expect_failures = [var.default_candidate]
}

run "plans_for_the_models_of_the_source_article" {
  command = plan

  variables {
    catalog    = "catalog-source-article.json"
    candidates = ["llama3-70b"]
  }

  assert {
    condition     = keys(module.candidates.profile_arns) == ["llama3-70b"]
    error_message = "The second catalog must be deployable."
  }
}

run "refuses_a_name_that_bedrock_would_refuse" {
  command = plan

  variables {
    name = "re--group"
  }

  expect_failures = [var.name]
}
