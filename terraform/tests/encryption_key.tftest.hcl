mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name   = "demo"
  region = "ap-northeast-1"
}

run "rotates_and_can_be_rescued_for_a_month" {
  command = plan

  module {
    source = "./modules/encryption_key"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "The key must rotate."
  }

  assert {
    condition     = aws_kms_key.this.deletion_window_in_days == 30
    error_message = "Whoever destroys the key by mistake must have 30 days to notice."
  }

  assert {
    condition     = aws_kms_alias.this.name == "alias/demo"
    error_message = "The key must be found by the deployment's name."
  }
}

run "opens_to_this_account_its_logs_and_its_alerts_only" {
  command = plan

  module {
    source = "./modules/encryption_key"
  }

  assert {
    condition     = [for one in jsondecode(aws_kms_key.this.policy).Statement : one.Sid] == ["TheAccountGrantsByItsOwnPolicies", "LogGroupsOfThisAccount", "WhoWritesToTheAlertsTopic"]
    error_message = "The key's policy has a statement more or less than the three that are argued for."
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[0].Principal == { AWS = "arn:aws:iam::123456789012:root" }
    error_message = "Only this account may own the key."
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[1].Principal == { Service = "logs.ap-northeast-1.amazonaws.com" }
    error_message = "The log service of this region must be able to use the key."
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] == "arn:aws:logs:ap-northeast-1:123456789012:log-group:*"
    error_message = "The log service may use the key for log groups of this account alone."
  }

  assert {
    condition     = !contains(keys(jsondecode(aws_kms_key.this.policy).Statement[2]), "Condition")
    error_message = "Alarms reach an encrypted topic without any condition on the key; the topic's policy knows the account."
  }

  assert {
    condition     = alltrue([for one in slice(jsondecode(aws_kms_key.this.policy).Statement, 1, 3) : !contains(one.Action, "kms:*")])
    error_message = "A service may encrypt and decrypt, never govern the key."
  }
}

run "refuses_fewer_days_than_aws_takes" {
  command = plan

  module {
    source = "./modules/encryption_key"
  }

  variables {
    deletion_window_days = 6
  }

  expect_failures = [var.deletion_window_days]
}

run "refuses_more_days_than_aws_takes" {
  command = plan

  module {
    source = "./modules/encryption_key"
  }

  variables {
    deletion_window_days = 31
  }

  expect_failures = [var.deletion_window_days]
}
