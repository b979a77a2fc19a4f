# The deployment, in the order a request flows through it:
#
#   client -> api -> authorizer (API keys, in routing_state)
#                 -> classifier -> candidates (Bedrock)
#                    |  reads artifact_store, remembers in routing_state
#                    v
#                    interaction_queue -> collector -> sample_store
#
# and beside it what watches (observability, cost) and what all of it stands on (encryption, layers).
# Training runs outside; its router comes back by the publisher's role of artifact_store.

# ---- A request comes in ----

module "api" {
  source = "./modules/rest_api"

  name         = var.name
  openapi_path = "${path.module}/openapi.json"
  function     = module.classifier.callable
  authorizer   = one(module.authorizer[*].callable)

  timeout_seconds         = var.gateway_timeout_seconds
  requests_per_second     = var.requests_per_second
  burst                   = var.burst
  waf                     = var.waf
  domain                  = var.domain
  vpc_endpoint_ids        = var.vpc_endpoint_ids
  manage_account_log_role = var.manage_api_gateway_log_role
  log_retention_days      = var.log_retention_days
  kms_key_arn             = local.kms_key_arn
}

# Who is it? Left to IAM where auth = "iam".
module "authorizer" {
  source = "./modules/lambda_function"
  count  = var.auth == "keys" ? 1 : 0

  name        = "${var.name}-authorizer"
  description = "Checks API keys"
  handler     = "classifier.authorizer.lambda_handler"
  zip_path    = "${local.packages}/authorizer.zip"
  layers      = [module.core_layer.arn]
  environment = { KEYS_TABLE = module.routing_state.tables["keys"] }
  statements  = module.routing_state.authorizer_statements

  bucket             = module.artifact_store.bucket
  alarm_topic_arns   = [module.observability.topic_arn]
  alarm_errors       = null # a refused key is an error to Lambda; one that cannot be checked is a 5xx of the API
  log_retention_days = var.log_retention_days
  kms_key_arn        = local.kms_key_arn
}

# Which model answers best for its price? Asks it, and falls back where it fails.
module "classifier" {
  source = "./modules/lambda_function"

  name            = "${var.name}-classifier"
  description     = "Routes chats to the model whose answer is predicted to be worth its price"
  handler         = "classifier.entry.lambda_handler"
  zip_path        = "${local.packages}/classifier.zip"
  layers          = [module.runtime_layer.arn, module.core_layer.arn]
  memory_mb       = var.memory_mb
  timeout_seconds = var.gateway_timeout_seconds - 1 # it must have ended before the gateway hangs up
  environment     = local.classifier_environment

  statements = concat(
    module.candidates.invoke_statements,
    module.artifact_store.read_statements,
    module.routing_state.router_statements,
    module.interaction_queue.send_statements,
  )

  reserved_concurrency    = var.reserved_concurrency
  provisioned_concurrency = var.provisioned_concurrency
  snap_start              = var.snap_start

  bucket             = module.artifact_store.bucket
  alarm_topic_arns   = [module.observability.topic_arn]
  alarm_p99_ms       = 1000 * (var.gateway_timeout_seconds - 4) # just before answers are cut
  log_retention_days = var.log_retention_days
  kms_key_arn        = local.kms_key_arn
}

# ---- What the classifier asks and remembers ----

module "candidates" {
  source    = "./modules/candidates"
  providers = { aws = aws, aws.us = aws.us }

  name         = var.name
  region       = var.region
  us_region    = var.us_region
  catalog_path = local.catalog_path
  candidates   = var.candidates
  bucket       = module.artifact_store.bucket
}

module "artifact_store" {
  source = "./modules/artifact_store"

  name                     = var.name
  region                   = var.region
  publisher_principal_arns = var.publisher_principal_arns
  force_destroy            = var.force_destroy
  kms_key_arn              = local.kms_key_arn
}

module "routing_state" {
  source = "./modules/routing_state"

  name                = var.name
  region              = var.region
  deletion_protection = var.deletion_protection
  kms_key_arn         = local.kms_key_arn
}

# ---- What becomes of sampled answers ----

module "interaction_queue" {
  source = "./modules/interaction_queue"

  name                     = var.name
  region                   = var.region
  consumer_arn             = module.collector.alias_arn
  consumer_timeout_seconds = local.collector_timeout_seconds
  kms_key_arn              = local.kms_key_arn
}

module "collector" {
  source = "./modules/lambda_function"

  name            = "${var.name}-collector"
  description     = "Stores sampled interactions and rewards"
  handler         = "collector.entry.lambda_handler"
  zip_path        = "${local.packages}/collector.zip"
  layers          = [module.runtime_layer.arn, module.core_layer.arn]
  timeout_seconds = local.collector_timeout_seconds

  environment = {
    SAMPLE_BUCKET                = module.sample_store.bucket
    TIMEZONE                     = var.timezone
    POWERTOOLS_METRICS_NAMESPACE = var.name
  }

  statements = concat(
    module.interaction_queue.receive_statements,
    module.sample_store.write_statements,
  )

  bucket             = module.artifact_store.bucket
  alarm_topic_arns   = [module.observability.topic_arn]
  log_retention_days = var.log_retention_days
  kms_key_arn        = local.kms_key_arn
}

module "sample_store" {
  source = "./modules/sample_store"

  name           = var.name
  region         = var.region
  retention_days = var.sample_retention_days
  force_destroy  = var.force_destroy
  kms_key_arn    = local.kms_key_arn
}

# ---- Who watches ----

module "observability" {
  source = "./modules/observability"

  name              = var.name
  region            = var.region
  queries_folder    = "${path.module}/queries"
  metrics_namespace = var.name
  router_log_group  = module.classifier.log_group
  function_names    = concat([module.classifier.name, module.collector.name], module.authorizer[*].name)
  alarm_arns        = concat(module.classifier.alarm_arns, module.collector.alarm_arns, flatten(module.authorizer[*].alarm_arns))
  api_name          = var.name
  api_stage         = module.api.stage
  dead_letters_name = module.interaction_queue.dead_letters_name
  alarm_email       = var.alarm_email
  kms_key_arn       = local.kms_key_arn
}

module "cost" {
  source = "./modules/cost"

  name                  = var.name
  candidates            = var.candidates
  monthly_usd           = var.monthly_budget_usd
  candidate_monthly_usd = var.candidate_monthly_budget_usd
  anomaly_detection     = var.anomaly_detection
  topic_arn             = module.observability.topic_arn
}

# ---- What all of it stands on ----

module "key" {
  source = "./modules/encryption_key"
  count  = var.kms_key_arn == null ? 1 : 0

  name                 = var.name
  region               = var.region
  deletion_window_days = var.force_destroy ? 7 : 30
}

module "runtime_layer" {
  source = "./modules/lambda_layer"

  name        = "${var.name}-runtime"
  description = "onnxruntime, tokenizers, numpy, pydantic, Powertools"
  zip_path    = "${local.packages}/runtime-layer.zip"
  bucket      = module.artifact_store.bucket
}

module "core_layer" {
  source = "./modules/lambda_layer"

  name        = "${var.name}-core"
  description = "The code the functions share"
  zip_path    = "${local.packages}/core-layer.zip"
  bucket      = module.artifact_store.bucket
}
