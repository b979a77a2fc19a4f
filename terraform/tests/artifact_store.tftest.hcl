mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "demo"
  region      = "ap-northeast-1"
  kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
}

run "only_the_publisher_writes_and_only_conditionally" {
  module {
    source = "./modules/artifact_store"
  }

  assert {
    condition = [for one in module.bucket.policy.Statement : one if one.Sid == "DenyPublishingByOthers"] == [{
      Sid       = "DenyPublishingByOthers"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject"]
      Resource  = ["arn:aws:s3:::demo-artifacts-123456789012/regroup/pointer.json", "arn:aws:s3:::demo-artifacts-123456789012/regroup/artifacts/*"]
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = "arn:aws:iam::123456789012:role/demo-publisher" } }
    }]
    error_message = "Nobody but the publisher may write the pointer or an artifact, whatever his own policies say."
  }

  assert {
    condition = [for one in module.bucket.policy.Statement : one if one.Sid == "DenyUnconditionalWrites"] == [{
      Sid       = "DenyUnconditionalWrites"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:PutObject"]
      Resource  = ["arn:aws:s3:::demo-artifacts-123456789012/regroup/pointer.json", "arn:aws:s3:::demo-artifacts-123456789012/regroup/artifacts/*"]
      Condition = { Null = { "s3:if-match" = "true", "s3:if-none-match" = "true" } }
    }]
    error_message = "A write that names no earlier state must be refused, or two publishers overwrite one another."
  }

  assert {
    condition     = anytrue([for one in module.bucket.policy.Statement : one.Effect == "Deny" && try(one.Condition.Bool["aws:SecureTransport"] == "false", false)])
    error_message = "Routers must travel over TLS."
  }

  assert {
    condition     = module.bucket.kept_days.objects == null
    error_message = "A router must never expire: it may be live."
  }
}

run "the_publisher_may_publish_and_nothing_else" {
  command = plan

  module {
    source = "./modules/artifact_store"
  }

  assert {
    condition     = toset(flatten([for one in jsondecode(aws_iam_role_policy.publisher.policy).Statement : one.Action])) == toset(["s3:GetObject", "s3:PutObject", "s3:ListBucket", "kms:Decrypt", "kms:GenerateDataKey"])
    error_message = "The publisher may do more, or less, than publishing takes."
  }

  assert {
    condition     = [for one in jsondecode(aws_iam_role_policy.publisher.policy).Statement : one.Resource if contains(one.Action, "s3:PutObject")] == [["arn:aws:s3:::demo-artifacts-123456789012/regroup/pointer.json", "arn:aws:s3:::demo-artifacts-123456789012/regroup/artifacts/*"]]
    error_message = "The publisher may write the pointer and artifacts, not catalogs or packages."
  }

  assert {
    condition     = [for one in jsondecode(aws_iam_role_policy.publisher.policy).Statement : one.Condition.StringEquals["kms:ViaService"] if contains(one.Action, "kms:Decrypt")] == [["s3.ap-northeast-1.amazonaws.com"]]
    error_message = "The publisher may use the key through S3 alone."
  }

  assert {
    condition     = aws_iam_role.publisher.max_session_duration == 3600
    error_message = "A publisher's session must end after an hour."
  }

  assert {
    condition     = jsondecode(aws_iam_role.publisher.assume_role_policy).Statement[0].Principal == { AWS = ["arn:aws:iam::123456789012:root"] }
    error_message = "By default this account decides who publishes."
  }
}

run "readers_read_and_write_nothing" {
  command = plan

  module {
    source = "./modules/artifact_store"
  }

  assert {
    condition     = toset(flatten([for one in output.read_statements : one.actions])) == toset(["s3:GetObject", "s3:ListBucket", "kms:Decrypt"])
    error_message = "Who loads a router must not be able to change one."
  }

  assert {
    condition     = [for one in output.read_statements : one.conditions if contains(one.actions, "kms:Decrypt")] == [{ StringEquals = { "kms:ViaService" = ["s3.ap-northeast-1.amazonaws.com"] } }]
    error_message = "Who loads a router may use the key through S3 alone."
  }
}

run "the_publisher_can_be_one_pipeline" {
  command = plan

  module {
    source = "./modules/artifact_store"
  }

  variables {
    publisher_principal_arns = ["arn:aws:iam::123456789012:role/pipeline"]
  }

  assert {
    condition     = jsondecode(aws_iam_role.publisher.assume_role_policy).Statement[0].Principal == { AWS = ["arn:aws:iam::123456789012:role/pipeline"] }
    error_message = "Only the principals given may take the publisher's role."
  }
}

run "refuses_everybody_as_publisher" {
  command = plan

  module {
    source = "./modules/artifact_store"
  }

  variables {
    publisher_principal_arns = ["*"]
  }

  expect_failures = [var.publisher_principal_arns]
}

run "refuses_a_pattern_as_publisher" {
  command = plan

  module {
    source = "./modules/artifact_store"
  }

  variables {
    publisher_principal_arns = ["arn:aws:iam::123456789012:role/*"]
  }

  expect_failures = [var.publisher_principal_arns]
}
