# For traffic that counts: prompts stay in Japan, nothing is destroyed by mistake, a flood has a limit.
name      = "regroup-prod"
residency = "jp"

# 100 of the account's concurrency must stay unreserved: take this out where its quota is below 150.
reserved_concurrency = 50
deletion_protection  = true
monthly_budget_usd   = 200

# Where another deployment of this account and region has set API Gateway's log role already:
# manage_api_gateway_log_role = false
