mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  bucket      = "demo-things"
  kms_key_arn = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
}

run "is_closed_encrypted_and_versioned" {
  module {
    source = "./modules/private_bucket"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "All four locks against the public must be on."
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.this.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "Access lists must be off."
  }

  assert {
    condition = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default[0] == {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
    error_message = "Objects must be encrypted with the key that was given."
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.this.rule).bucket_key_enabled
    error_message = "Without a bucket key every object costs a call to KMS."
  }

  assert {
    condition     = aws_s3_bucket_versioning.this.versioning_configuration[0].status == "Enabled"
    error_message = "What was overwritten must be recoverable."
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "A bucket that holds objects must survive `terraform destroy` unless told otherwise."
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.this.policy).Statement == [{
      Sid       = "DenyWithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:*"]
      Resource  = ["arn:aws:s3:::mock", "arn:aws:s3:::mock/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
    error_message = "The bucket and its objects must refuse whoever comes without TLS."
  }

  assert {
    condition     = output.kept_days.objects == null && output.kept_days.old_versions == 90
    error_message = "Objects stay, old versions go after 90 days."
  }

  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.this.rule : rule.status == "Enabled"])
    error_message = "A lifecycle rule is switched off."
  }

  assert {
    condition     = aws_s3_bucket_lifecycle_configuration.this.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 7
    error_message = "Half an upload must not be stored and paid for."
  }
}

run "deletes_objects_and_their_old_versions_in_time" {
  command = plan

  module {
    source = "./modules/private_bucket"
  }

  variables {
    expires_days      = 30
    old_versions_days = 1
  }

  assert {
    condition     = output.kept_days.objects == 30 && output.kept_days.old_versions == 1
    error_message = "Objects must go after expires_days, and their old versions after old_versions_days."
  }
}

run "denies_further_things_and_still_wants_tls" {
  command = plan

  module {
    source = "./modules/private_bucket"
  }

  variables {
    deny_statements = [{
      Sid       = "DenyDeletion"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:DeleteObject"]
      Resource  = ["arn:aws:s3:::mock/*"]
      Condition = { StringNotEquals = { "aws:PrincipalTag/team" = "demo" } }
    }]
  }

  assert {
    condition     = [for one in jsondecode(aws_s3_bucket_policy.this.policy).Statement : one.Sid] == ["DenyDeletion", "DenyWithoutTls"]
    error_message = "A further denial must stand beside the one about TLS."
  }
}

run "refuses_a_bad_name_no_days_and_a_policy_that_allows" {
  command = plan

  module {
    source = "./modules/private_bucket"
  }

  variables {
    bucket       = "Demo.Things"
    expires_days = 0
    deny_statements = [{
      Sid       = "AllowTheWorld"
      Effect    = "Allow"
      Principal = "*"
      Action    = ["s3:GetObject"]
      Resource  = ["arn:aws:s3:::mock/*"]
      Condition = {}
    }]
  }

  expect_failures = [var.bucket, var.expires_days, var.deny_statements]
}
