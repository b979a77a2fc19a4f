mock_provider "aws" {
  source = "./tests/mocks"
}

# Any file stands for a zip: nothing is brought anywhere.
variables {
  name        = "demo-core"
  description = "The code the functions share"
  bucket      = "demo-artifacts"
  zip_path    = "./catalog.json"
}

run "goes_through_the_bucket_under_its_digest" {
  command = plan

  module {
    source = "./modules/lambda_layer"
  }

  assert {
    condition     = aws_s3_object.zip.key == "packages/demo-core-${substr(filesha256("./catalog.json"), 0, 16)}.zip" && aws_s3_object.zip.bucket == "demo-artifacts"
    error_message = "A zip is addressed by its digest, so that a running deployment keeps its own."
  }

  assert {
    condition     = aws_lambda_layer_version.this.s3_key == aws_s3_object.zip.key && aws_lambda_layer_version.this.s3_bucket == "demo-artifacts"
    error_message = "The layer must come from the object that was brought."
  }

  assert {
    condition     = aws_lambda_layer_version.this.source_code_hash == filebase64sha256("./catalog.json")
    error_message = "Another zip must make another version."
  }

  assert {
    condition     = aws_lambda_layer_version.this.compatible_runtimes == toset(["python3.12"]) && aws_lambda_layer_version.this.compatible_architectures == toset(["x86_64"])
    error_message = "The layer holds compiled code for Python 3.12 on x86_64."
  }
}

run "refuses_a_zip_that_was_not_built" {
  command = plan

  module {
    source = "./modules/lambda_layer"
  }

  variables {
    zip_path = "./no-such.zip"
  }

  expect_failures = [var.zip_path]
}
