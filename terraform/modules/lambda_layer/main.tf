# A layer, brought through S3: Lambda takes no zip above 50 MB directly.

locals {
  sha256 = filesha256(var.zip_path)
}

resource "aws_s3_object" "zip" {
  bucket = var.bucket
  # By digest: another zip is another object, and a running deployment keeps its own.
  key         = "packages/${var.name}-${substr(local.sha256, 0, 16)}.zip"
  source      = var.zip_path
  source_hash = local.sha256
}

resource "aws_lambda_layer_version" "this" {
  layer_name               = var.name
  description              = var.description
  s3_bucket                = aws_s3_object.zip.bucket
  s3_key                   = aws_s3_object.zip.key
  source_code_hash         = filebase64sha256(var.zip_path)
  compatible_runtimes      = ["python3.12"]
  compatible_architectures = ["x86_64"]

  lifecycle {
    create_before_destroy = true
  }
}
