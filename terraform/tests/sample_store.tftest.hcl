mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "demo"
  region      = "ap-northeast-1"
  kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
}

run "samples_expire_wholly_after_ninety_days" {
  module {
    source = "./modules/sample_store"
  }

  assert {
    condition     = module.bucket.kept_days.objects == 90
    error_message = "Samples hold prompts: they must go after 90 days unless told otherwise."
  }

  assert {
    condition     = module.bucket.kept_days.old_versions == 1
    error_message = "What was deleted must not live on as an old version."
  }

  assert {
    condition     = anytrue([for one in module.bucket.policy.Statement : one.Effect == "Deny" && try(one.Condition.Bool["aws:SecureTransport"] == "false", false)])
    error_message = "Samples must travel over TLS."
  }

  assert {
    condition     = toset(flatten([for one in output.write_statements : one.actions])) == toset(["s3:PutObject", "kms:GenerateDataKey"])
    error_message = "Who stores samples must not be able to read them back, nor delete them."
  }

  assert {
    condition     = [for one in output.write_statements : one.resources if contains(one.actions, "s3:PutObject")] == [["arn:aws:s3:::mock/interactions/*", "arn:aws:s3:::mock/rewards/*"]]
    error_message = "Samples and rewards have a folder each, and nothing else is written."
  }

  assert {
    condition     = [for one in output.write_statements : one.conditions if contains(one.actions, "kms:GenerateDataKey")] == [{ StringEquals = { "kms:ViaService" = ["s3.ap-northeast-1.amazonaws.com"] } }]
    error_message = "Who stores samples may use the key through S3 alone."
  }
}

run "samples_expire_when_the_team_says" {
  command = plan

  module {
    source = "./modules/sample_store"
  }

  variables {
    retention_days = 7
  }

  assert {
    condition     = module.bucket.kept_days.objects == 7
    error_message = "Samples must go after retention_days."
  }
}

run "refuses_to_keep_no_day" {
  command = plan

  module {
    source = "./modules/sample_store"
  }

  variables {
    retention_days = 0
  }

  expect_failures = [var.retention_days]
}

run "refuses_to_keep_prompts_for_ever" {
  command = plan

  module {
    source = "./modules/sample_store"
  }

  variables {
    retention_days = 3651
  }

  expect_failures = [var.retention_days]
}
