mock_provider "aws" {
  source = "./tests/mocks"
}

# The second provider answers with ARNs of its own: so it shows which candidate it made.
mock_provider "aws" {
  alias = "us"

  mock_resource "aws_bedrock_inference_profile" {
    defaults = { arn = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/us" }
  }
}

variables {
  name         = "demo"
  region       = "ap-northeast-1"
  us_region    = "us-west-2"
  catalog_path = "./catalog.json"
  candidates   = ["haiku", "llama-70b"]
  bucket       = "demo-artifacts"
}

run "each_candidate_has_a_profile_of_its_own_where_it_lives" {
  providers = {
    aws    = aws
    aws.us = aws.us
  }

  module {
    source = "./modules/candidates"
  }

  assert {
    condition     = keys(aws_bedrock_inference_profile.home) == ["haiku"] && keys(aws_bedrock_inference_profile.us) == ["llama-70b"]
    error_message = "There must be a profile for each candidate chosen, and for no other."
  }

  assert {
    condition = output.profile_arns == {
      haiku     = "arn:aws:bedrock:ap-northeast-1:123456789012:application-inference-profile/home"
      llama-70b = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/us"
    }
    error_message = "A candidate of the US must be made by the provider of the US."
  }

  assert {
    condition     = aws_bedrock_inference_profile.home["haiku"].tags == tomap({ regroup-candidate = "demo/haiku" }) && aws_bedrock_inference_profile.us["llama-70b"].tags == tomap({ regroup-candidate = "demo/llama-70b" })
    error_message = "The bill tells candidates apart by this tag."
  }

  assert {
    condition     = aws_bedrock_inference_profile.home["haiku"].model_source[0].copy_from == "arn:aws:bedrock:ap-northeast-1:123456789012:inference-profile/jp.anthropic.claude-haiku-5-5"
    error_message = "The profile must wrap the system's profile of the catalog: what it wraps decides where prompts go."
  }

  assert {
    condition     = aws_bedrock_inference_profile.us["llama-70b"].model_source[0].copy_from == "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0"
    error_message = "The profile must wrap the system's profile of the region where the candidate lives."
  }
}

run "the_catalog_is_rendered_with_the_profiles_and_kept_by_its_digest" {
  command = plan

  providers = {
    aws    = aws
    aws.us = aws.us
  }

  module {
    source = "./modules/candidates"
  }

  assert {
    condition     = aws_s3_object.catalog.key == "catalog/${sha256(aws_s3_object.catalog.content)}.json" && output.catalog_uri == "s3://demo-artifacts/${aws_s3_object.catalog.key}"
    error_message = "Another catalog must be another object: a running version reads its own."
  }

  assert {
    condition     = { for one in jsondecode(aws_s3_object.catalog.content).candidates : one.name => one.profile_arn } == output.profile_arns
    error_message = "The catalog must name the profile of each candidate, and no candidate that was not chosen."
  }

  assert {
    condition = [for one in jsondecode(aws_s3_object.catalog.content).candidates : { for word, value in one : word => value if word != "profile_arn" }] == [
      for one in jsondecode(file("./catalog.json")).candidates : one if contains(["haiku", "llama-70b"], one.name)
    ]
    error_message = "Prices, limits and residency must be those of the catalog."
  }
}

run "models_may_be_asked_through_the_profiles_alone" {
  command = plan

  providers = {
    aws    = aws
    aws.us = aws.us
  }

  module {
    source = "./modules/candidates"
  }

  assert {
    condition     = toset(flatten([for one in output.invoke_statements : one.actions])) == toset(["bedrock:InvokeModelWithResponseStream"])
    error_message = "Asking a model is all that the classifier needs of Bedrock."
  }

  assert {
    condition     = output.invoke_statements[0].resources == sort(values(output.profile_arns))
    error_message = "The profiles made here must be the ones that may be asked."
  }

  assert {
    condition = output.invoke_statements[1].resources == sort([
      "arn:aws:bedrock:ap-northeast-1:123456789012:inference-profile/jp.anthropic.claude-haiku-5-5",
      "arn:aws:bedrock:ap-northeast-1::foundation-model/anthropic.claude-haiku-5-5",
      "arn:aws:bedrock:ap-northeast-3::foundation-model/anthropic.claude-haiku-5-5",
      "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-3-70b-instruct-v1:0",
      "arn:aws:bedrock:us-east-2::foundation-model/meta.llama3-3-70b-instruct-v1:0",
      "arn:aws:bedrock:us-west-2::foundation-model/meta.llama3-3-70b-instruct-v1:0",
      "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0",
    ])
    error_message = "The models must be named in every region that a profile may send a prompt to, and nowhere else."
  }

  assert {
    condition     = output.invoke_statements[1].conditions == { ArnEquals = { "bedrock:InferenceProfileArn" = sort(values(output.profile_arns)) } }
    error_message = "A model must not be asked past its profile: such a call has no tag, and so no budget."
  }

  assert {
    condition     = alltrue([for one in flatten([for statement in output.invoke_statements : concat(statement.actions, statement.resources)]) : !strcontains(one, "*")])
    error_message = "Neither an action nor a model may be a pattern."
  }
}

run "everybody_lives_at_home_where_home_is_the_us" {
  command = plan

  providers = {
    aws    = aws
    aws.us = aws.us
  }

  module {
    source = "./modules/candidates"
  }

  variables {
    region     = "us-west-2"
    candidates = ["llama-70b"]
  }

  assert {
    condition     = keys(aws_bedrock_inference_profile.home) == ["llama-70b"] && length(aws_bedrock_inference_profile.us) == 0
    error_message = "A candidate of the deployment's own region needs no second provider."
  }
}

run "refuses_a_candidate_that_the_catalog_lacks" {
  command = plan

  providers = {
    aws    = aws
    aws.us = aws.us
  }

  module {
    source = "./modules/candidates"
  }

  variables {
    candidates = ["haiku", "gpt"]
  }

  expect_failures = [aws_s3_object.catalog]
}

run "refuses_a_candidate_of_a_third_region" {
  command = plan

  providers = {
    aws    = aws
    aws.us = aws.us
  }

  module {
    source = "./modules/candidates"
  }

  variables {
    us_region = "us-east-1"
  }

  expect_failures = [aws_bedrock_inference_profile.us]
}

run "refuses_to_have_nobody_who_answers" {
  command = plan

  providers = {
    aws    = aws
    aws.us = aws.us
  }

  module {
    source = "./modules/candidates"
  }

  variables {
    candidates = []
  }

  expect_failures = [var.candidates]
}
