# To try things: everything may be destroyed, and Llama answers from the US beside the others.
# With residency = "jp" it stays in the catalog and is left out of every decision, visibly.
name       = "regroup-dev"
candidates = ["haiku", "sonnet", "nova-lite", "llama-70b"]

sample_rate        = 0.5
explore_share      = 0.1
force_destroy      = true
log_retention_days = 30
monthly_budget_usd = 20
