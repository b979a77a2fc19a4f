# For traffic that counts: prompts stay in Japan, nothing is destroyed by mistake, a flood has a limit.
name      = "regroup-prod"
residency = "jp"

reserved_concurrency = 50
deletion_protection  = true
log_retention_days   = 365
monthly_budget_usd   = 200
