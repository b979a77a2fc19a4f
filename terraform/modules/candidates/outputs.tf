output "catalog_uri" {
  description = "Where the rendered catalog lies."
  value       = "s3://${aws_s3_object.catalog.bucket}/${aws_s3_object.catalog.key}"
}

output "profile_arns" {
  description = "The application inference profiles by candidate."
  value       = local.profile_arns
}

output "invoke_statements" {
  description = "What a function needs to ask the candidates, and only through their profiles."
  value = [
    {
      sid       = "AskThroughTheProfiles"
      actions   = ["bedrock:InvokeModelWithResponseStream"]
      resources = sort(values(local.profile_arns))
    },
    {
      sid     = "AskTheModelsBehindThem"
      actions = ["bedrock:InvokeModelWithResponseStream"]
      resources = sort(distinct(concat(
        flatten(values(local.models)),
        [for arn in values(local.wrapped) : arn if strcontains(arn, ":inference-profile/")],
      )))
      conditions = { ArnEquals = { "bedrock:InferenceProfileArn" = sort(values(local.profile_arns)) } }
    },
  ]
}
