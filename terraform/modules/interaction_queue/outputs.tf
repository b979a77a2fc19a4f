output "url" {
  description = "URL of the queue."
  value       = aws_sqs_queue.this.url
}

output "name" {
  description = "Name of the queue."
  value       = aws_sqs_queue.this.name
}

output "dead_letters_name" {
  description = "Name of the queue of dead letters."
  value       = aws_sqs_queue.dead_letters.name
}

output "send_statements" {
  description = "What a function needs to send."
  value = [
    {
      sid       = "SendSamples"
      actions   = ["sqs:SendMessage"]
      resources = [aws_sqs_queue.this.arn]
    },
    {
      sid        = "EncryptSamples"
      actions    = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources  = [var.kms_key_arn]
      conditions = local.via_sqs
    },
  ]
}

output "receive_statements" {
  description = "What Lambda needs in the consumer's name to take messages for it."
  value = [
    {
      sid       = "ReceiveSamples"
      actions   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      resources = [aws_sqs_queue.this.arn]
    },
    {
      sid        = "DecryptSamples"
      actions    = ["kms:Decrypt"]
      resources  = [var.kms_key_arn]
      conditions = local.via_sqs
    },
  ]
}
