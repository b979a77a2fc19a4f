# Against the emulator (make test-infra).
name                  = "regroup-local"
candidates            = ["haiku", "sonnet", "nova-lite", "llama-70b"]
sample_rate           = 1
explore_share         = 0
force_destroy         = true
anomaly_detection     = true
alarm_email           = "team@example.com"
pointer_check_seconds = 0
