# The models that may answer: one tagged application inference profile each, so that the bill can tell
# them apart, the catalog with the profiles' ARNs, and the permission to ask exactly these.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  catalog  = jsondecode(file(var.catalog_path))
  known    = [for one in local.catalog.candidates : one.name]
  selected = { for one in local.catalog.candidates : one.name => one if contains(var.candidates, one.name) }

  # jp.anthropic.claude-haiku-5-5 is a profile of the model anthropic.claude-haiku-5-5.
  geographies = "^(?:jp|apac|au|ca|eu|us|us-gov|global)\\."
  model_ids   = { for name, one in local.selected : name => replace(one.model_id, "/${local.geographies}/", "") }

  # At most 64 letters, none of them twice a hyphen; another model is another profile.
  profile_names = {
    for name, one in local.selected : name => join("-", [
      var.name,
      trim(substr(replace(name, "/[^0-9A-Za-z]+/", "-"), 0, 30), "-"),
      substr(sha256(one.model_id), 0, 6),
    ])
  }

  # What the application's own profile wraps: the system's profile, or the model itself.
  wrapped = {
    for name, one in local.selected : name => (
      local.model_ids[name] == one.model_id
      ? "arn:${local.partition}:bedrock:${one.region}::foundation-model/${one.model_id}"
      : "arn:${local.partition}:bedrock:${one.region}:${local.account}:inference-profile/${one.model_id}"
    )
  }

  # Bedrock asks for the permission to use the model in every region the profile may send a prompt to.
  models = {
    for name, one in local.selected : name => distinct([
      for region in concat(
        try(one.destination_regions, []),
        [one.region],
        one.residency == "global" ? [""] : [],
      ) : "arn:${local.partition}:bedrock:${region}::foundation-model/${local.model_ids[name]}"
    ])
  }

  home = { for name, one in local.selected : name => one if one.region == var.region }
  us   = { for name, one in local.selected : name => one if one.region != var.region }

  profile_arns = merge(
    { for name, profile in aws_bedrock_inference_profile.home : name => profile.arn },
    { for name, profile in aws_bedrock_inference_profile.us : name => profile.arn },
  )

  rendered = jsonencode({
    candidates = [
      for one in local.catalog.candidates : merge(one, { profile_arn = local.profile_arns[one.name] })
      if contains(keys(local.selected), one.name)
    ]
  })
}

resource "aws_bedrock_inference_profile" "home" {
  for_each = local.home

  name        = local.profile_names[each.key]
  description = "Calls of ${each.value.model_id} by ${var.name}"
  tags        = { regroup-candidate = "${var.name}/${each.key}" }

  model_source {
    copy_from = local.wrapped[each.key]
  }
}

resource "aws_bedrock_inference_profile" "us" {
  for_each = local.us
  provider = aws.us

  name        = local.profile_names[each.key]
  description = "Calls of ${each.value.model_id} by ${var.name}"
  tags        = { regroup-candidate = "${var.name}/${each.key}" }

  model_source {
    copy_from = local.wrapped[each.key]
  }

  lifecycle {
    precondition {
      condition     = each.value.region == var.us_region
      error_message = "${each.key} lives in ${each.value.region}, neither in ${var.region} nor in ${var.us_region}: set us_region to it."
    }
  }
}

resource "aws_s3_object" "catalog" {
  bucket       = var.bucket
  key          = "catalog/${sha256(local.rendered)}.json"
  content      = local.rendered
  content_type = "application/json"

  lifecycle {
    # A running version reads its own catalog until the next one has taken over.
    create_before_destroy = true

    precondition {
      condition     = length(setsubtract(var.candidates, local.known)) == 0
      error_message = "${var.catalog_path} has no candidate ${join(", ", setsubtract(var.candidates, local.known))}; it has ${join(", ", local.known)}."
    }
  }
}
