# For traffic that counts: prompts stay in Japan, nothing is destroyed by mistake, a flood has a limit.
name      = "regroup-prod"
residency = "jp"

reserved_concurrency = 50
deletion_protection  = true
monthly_budget_usd   = 200
