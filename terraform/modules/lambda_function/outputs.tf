output "name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "alias_arn" {
  description = "ARN of the alias that is called."
  value       = aws_lambda_alias.live.arn
}

output "callable" {
  description = "What an API needs to call the alias."
  value = {
    name       = aws_lambda_function.this.function_name
    alias      = aws_lambda_alias.live.name
    invoke_arn = aws_lambda_alias.live.invoke_arn
  }
}

output "log_group" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "role_arn" {
  description = "ARN of the role."
  value       = aws_iam_role.this.arn
}

output "policy" {
  description = "The role's policy, as an object."
  value       = local.policy
}

output "alarm_arns" {
  description = "ARNs of the function's alarms."
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn]
}
