output "name" {
  description = "Name of the deployment."
  value       = var.name
}

output "region" {
  description = "Region of the deployment."
  value       = var.region
}

output "api_url" {
  description = "Where the API is served; an OpenAI client's base_url is this with /v1."
  value       = module.api.url
}

output "api_id" {
  description = "Id of the REST API."
  value       = module.api.id
}

output "domain_target" {
  description = "What the DNS record of your own name points to; null where there is none."
  value       = module.api.domain_target
}

output "catalog_uri" {
  description = "The rendered catalog: `regroup doctor --catalog` takes it."
  value       = module.candidates.catalog_uri
}

output "pointer_uri" {
  description = "The pointer to the live router: `regroup publish --to` takes it."
  value       = module.artifact_store.pointer_uri
}

output "publisher_role_arn" {
  description = "The one role that may publish a router."
  value       = module.artifact_store.publisher_role_arn
}

output "keys_table" {
  description = "The table of API keys: `regroup keys --table` takes it."
  value       = module.routing_state.tables["keys"]
}

output "sample_bucket" {
  description = "Where sampled interactions lie."
  value       = module.sample_store.bucket
}

output "log_groups" {
  description = "Log groups by what writes to them."
  value = {
    for what, name in {
      classifier = module.classifier.log_group
      authorizer = one(module.authorizer[*].log_group)
      collector  = module.collector.log_group
      api        = module.api.log_group
    } : what => name if name != null
  }
}

output "classifier_log_group" {
  description = "The log group of decision lines: `regroup smoke`, `logs` and `queries` take it."
  value       = module.classifier.log_group
}

output "query_names" {
  description = "The saved Logs Insights queries."
  value       = module.observability.query_names
}

output "dashboard_url" {
  description = "The dashboard."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards:name=${module.observability.dashboard_name}"
}

output "may_be_destroyed" {
  description = "Whether what was applied lets `make destroy` go through to the end."
  value       = var.force_destroy && !var.deletion_protection
}

output "alerts_topic_arn" {
  description = "The topic of alarms and budgets."
  value       = module.observability.topic_arn
}
