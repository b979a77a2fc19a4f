output "bucket" {
  description = "Name of the bucket: STATE_BUCKET of the other commands."
  value       = module.bucket.bucket
}
