# The public face: a regional REST API with one stage (document.tf says what it serves).

resource "aws_api_gateway_rest_api" "this" {
  name        = var.name
  description = local.document.info.description
  body        = jsonencode(local.body)

  endpoint_configuration {
    types            = [local.is_private ? "PRIVATE" : "REGIONAL"]
    vpc_endpoint_ids = local.is_private ? var.vpc_endpoint_ids : null
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_deployment" "this" {
  rest_api_id = aws_api_gateway_rest_api.this.id

  triggers = { body = sha256(jsonencode(local.body)) }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "live" {
  #checkov:skip=CKV_AWS_120:answers of models are not to be cached by the gateway
  #checkov:skip=CKV2_AWS_51:clients show a key, not a certificate
  #checkov:skip=CKV2_AWS_29:the firewall costs more than the rest of a small deployment: waf = true adds it
  #checkov:skip=CKV2_AWS_77:the same firewall, where it is on, has these rules
  #checkov:skip=CKV2_AWS_4:errors are logged; the check also wants metrics by method, each of which is paid for
  #checkov:skip=CKV_AWS_73:tracing is off, see the functions
  rest_api_id   = aws_api_gateway_rest_api.this.id
  deployment_id = aws_api_gateway_deployment.this.id
  stage_name    = local.stage
  description   = "What clients call"

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn

    # Who, what, how long; never a body, and never the key.
    format = jsonencode({
      request_id             = "$context.requestId"
      at                     = "$context.requestTimeEpoch"
      method                 = "$context.httpMethod"
      path                   = "$context.resourcePath"
      status                 = "$context.status"
      key_id                 = "$context.authorizer.key_id"
      latency_ms             = "$context.responseLatency"
      integration_latency_ms = "$context.integrationLatency"
      response_bytes         = "$context.responseLength"
      refused_by             = "$context.error.responseType"
    })
  }

  depends_on = [aws_api_gateway_account.this]
}

resource "aws_api_gateway_method_settings" "all" {
  #checkov:skip=CKV_AWS_225:answers of models are not to be cached by the gateway
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  method_path = "*/*"

  settings {
    metrics_enabled        = false # by method, and each a metric that is paid for
    logging_level          = "ERROR"
    data_trace_enabled     = false # it would write prompts
    throttling_rate_limit  = var.requests_per_second
    throttling_burst_limit = var.burst
  }

  depends_on = [aws_cloudwatch_log_group.execution]
}

# Nobody needs a key for it, so it must not cost much either.
resource "aws_api_gateway_method_settings" "health" {
  #checkov:skip=CKV_AWS_225:answers of models are not to be cached by the gateway
  rest_api_id = aws_api_gateway_rest_api.this.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  method_path = "healthz/GET"

  settings {
    metrics_enabled        = false
    logging_level          = "ERROR"
    data_trace_enabled     = false
    throttling_rate_limit  = 2
    throttling_burst_limit = 5
  }

  # Two settings of one stage are written one after the other.
  depends_on = [aws_api_gateway_method_settings.all]
}

# Who may call the functions

resource "aws_lambda_permission" "function" {
  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = var.function.name
  qualifier     = var.function.alias
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/${local.stage}/*"
}

resource "aws_lambda_permission" "authorizer" {
  count = local.with_key ? 1 : 0

  statement_id  = "api"
  action        = "lambda:InvokeFunction"
  function_name = var.authorizer.name
  qualifier     = var.authorizer.alias
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.this.execution_arn}/authorizers/*"
}
