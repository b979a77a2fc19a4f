locals {
  packages     = var.package_folder
  catalog_path = "${path.module}/${var.catalog}"
  kms_key_arn  = coalesce(var.kms_key_arn, one(module.key[*].arn))

  collector_timeout_seconds = 30

  # Rules that need more than one variable look here.
  catalog_candidates = {
    for one in try(jsondecode(file("${path.module}/${var.catalog}")).candidates, []) : one.name => one
  }
  # What each residency lets through, as the classifier sees it.
  resident = {
    jp   = ["jp"]
    apac = ["jp", "apac"]
    us   = ["us"]
  }

  classifier_environment = {
    for name, value in {
      CATALOG_URI                  = module.candidates.catalog_uri
      POINTER_URI                  = module.artifact_store.pointer_uri
      POINTER_CHECK_SECONDS        = var.pointer_check_seconds
      CACHE_TABLE                  = module.routing_state.tables["predictions"]
      CACHE_TTL_SECONDS            = var.cache_ttl_seconds
      SESSIONS_TABLE               = module.routing_state.tables["sessions"]
      KEYS_TABLE                   = module.routing_state.tables["keys"]
      BUDGET_WHEN_UNKNOWN          = var.budget_when_unknown
      DECISIONS_TABLE              = module.routing_state.tables["decisions"]
      TIMEZONE                     = var.timezone
      RESIDENCY                    = var.residency
      SAMPLE_QUEUE_URL             = module.interaction_queue.url
      SAMPLE_RATE                  = var.sample_rate
      EXPLORE_SHARE                = var.explore_share
      EXPLORE_FLOOR                = var.explore_floor
      EXPLORE_MAX_COST_USD         = var.explore_max_cost_usd
      DEFAULT_PRESET               = var.default_preset
      DEFAULT_CANDIDATE            = var.default_candidate
      POWERTOOLS_METRICS_NAMESPACE = var.name
    } : name => tostring(value) if value != null
  }
}
