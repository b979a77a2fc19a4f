output "id" {
  description = "Id of the API."
  value       = aws_api_gateway_rest_api.this.id
}

output "name" {
  description = "Name of the API."
  value       = aws_api_gateway_rest_api.this.name
}

output "stage" {
  description = "Name of the stage."
  value       = aws_api_gateway_stage.live.stage_name
}

output "url" {
  description = "Where the API is served; an OpenAI client's base_url is this with /v1."
  value       = var.domain == null ? aws_api_gateway_stage.live.invoke_url : "https://${var.domain.name}"
}

output "domain_target" {
  description = "What the DNS record of your own name points to; null where there is none."
  value = one([
    for domain in aws_api_gateway_domain_name.this : {
      name    = domain.regional_domain_name
      zone_id = domain.regional_zone_id
    }
  ])
}

output "log_group" {
  description = "Name of the access log's group."
  value       = aws_cloudwatch_log_group.access.name
}

output "body" {
  description = "The document as API Gateway gets it, as an object."
  value       = local.body
}
