output "topic_arn" {
  description = "ARN of the topic of alarms and budgets, once they may write to it."
  value       = aws_sns_topic_policy.alerts.arn
}

output "query_names" {
  description = "Names of the saved queries."
  value       = sort([for query in aws_cloudwatch_query_definition.this : query.name])
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
