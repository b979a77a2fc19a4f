output "budget_names" {
  description = "Names of the budgets: the whole, and one a candidate."
  value       = sort([for budget in aws_budgets_budget.this : budget.name])
}
