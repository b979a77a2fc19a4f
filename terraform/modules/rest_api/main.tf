# The public face: a regional REST API made from the committed OpenAPI document.
#
# The document says what there is; laid over it here is how API Gateway serves it. Of a body's schema
# only "a JSON object with the required fields" is kept: API Gateway's models are JSON schema draft 4,
# which has no `nullable`, and clients do send null. The function checks the rest, in better words.

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  document = jsondecode(file(var.openapi_path))
  stage    = "live"
  with_key = var.authorizer != null

  integration = {
    type            = "aws_proxy"
    httpMethod      = "POST" # how Lambda is called, whatever the client's method
    uri             = var.function.invoke_arn
    timeoutInMillis = var.timeout_seconds * 1000
  }

  paths = {
    for path, methods in local.document.paths : path => {
      for method, operation in methods : method => {
        for word, value in {
          operationId = operation.operationId
          summary     = operation.summary
          responses   = { for status, answer in operation.responses : status => { description = answer.description } }
          requestBody = try({
            required = true
            content  = { "application/json" = { schema = operation.requestBody.content["application/json"].schema } }
          }, null)
          security = (
            try(length(operation.security), 1) == 0 ? null
            : local.with_key ? [{ key = [] }]
            : [{ iam = [] }]
          )
          x-amazon-apigateway-request-validator = "body"
          x-amazon-apigateway-integration       = local.integration
        } : word => value if value != null
      }
    }
  }

  bodies = distinct(flatten([
    for methods in values(local.document.paths) : [
      for operation in values(methods) : try(basename(operation.requestBody.content["application/json"].schema["$ref"]), [])
    ]
  ]))

  schemas = {
    for name in local.bodies : name => {
      for word, value in {
        type     = "object"
        required = try(local.document.components.schemas[name].required, null)
      } : word => value if value != null
    }
  }

  key_scheme = local.with_key ? {
    key = {
      type                         = "apiKey"
      name                         = "Authorization"
      in                           = "header"
      x-amazon-apigateway-authtype = "custom"
      x-amazon-apigateway-authorizer = {
        type                         = "token"
        authorizerUri                = var.authorizer.invoke_arn
        authorizerResultTtlInSeconds = 60
        # What cannot be a key costs no invocation.
        identityValidationExpression = "^[Bb]earer +[!-~]+$"
      }
    }
  } : {}

  iam_scheme = local.with_key ? {} : {
    iam = {
      type                         = "apiKey"
      name                         = "Authorization"
      in                           = "header"
      x-amazon-apigateway-authtype = "awsSigv4"
    }
  }

  # What the gateway refuses itself, in the shape that OpenAI's clients read.
  refusals = {
    UNAUTHORIZED                   = ["401", "authentication_error", "invalid_api_key", "Send `Authorization: Bearer rg-...` with a good key."]
    ACCESS_DENIED                  = ["403", "permission_error", "forbidden", "This API key may not do this."]
    MISSING_AUTHENTICATION_TOKEN   = local.with_key ? ["404", "invalid_request_error", "unknown_path", "There is no such path or method here."] : ["403", "permission_error", "forbidden", "There is no such path here, or the request is not signed with AWS Signature Version 4."]
    BAD_REQUEST_BODY               = ["400", "invalid_request_error", "invalid_field", "The body must be a JSON object with the required fields (${join("; ", [for name, schema in local.schemas : "${name}: ${join(", ", try(schema.required, []))}"])})."]
    REQUEST_TOO_LARGE              = ["413", "invalid_request_error", "request_too_large", "The request is too large: its body must stay below 6 MB."]
    THROTTLED                      = ["429", "rate_limit_error", "rate_limited", "Too many requests at once: try again in a second."]
    WAF_FILTERED                   = ["403", "permission_error", "forbidden", "The firewall of this deployment refused the request."]
    AUTHORIZER_FAILURE             = ["500", "server_error", "authorizer_failed", "The API key could not be checked just now; try again."]
    AUTHORIZER_CONFIGURATION_ERROR = ["500", "server_error", "authorizer_failed", "The API key could not be checked just now; try again."]
    INTEGRATION_TIMEOUT            = ["504", "server_error", "timeout", "No answer came within ${var.timeout_seconds} seconds."]
    INTEGRATION_FAILURE            = ["502", "server_error", "bad_gateway", "The function failed or gave a malformed response."]
    DEFAULT_4XX                    = [null, "invalid_request_error", "refused", "The gateway refused the request."]
    DEFAULT_5XX                    = [null, "server_error", "gateway_error", "The gateway failed; try again."]
  }

  gateway_responses = {
    for kind, refusal in local.refusals : kind => {
      for word, value in {
        statusCode = refusal[0]
        responseTemplates = {
          # What the gateway itself says of a body ($context.error.validationErrorString) holds quotation
          # marks, which a template cannot escape.
          "application/json" = jsonencode({
            error = { message = refusal[3], type = refusal[1], code = refusal[2], param = null }
          })
        }
        responseParameters = kind == "THROTTLED" ? { "gatewayresponse.header.Retry-After" = "'1'" } : null
      } : word => value if value != null
    }
  }

  is_private = length(var.vpc_endpoint_ids) > 0

  # In the document, because every import of a document replaces the policy.
  private_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = "*"
        Action    = "execute-api:Invoke"
        Resource  = "execute-api:/*"
      },
      {
        Effect    = "Deny"
        Principal = "*"
        Action    = "execute-api:Invoke"
        Resource  = "execute-api:/*"
        Condition = { StringNotEquals = { "aws:SourceVpce" = var.vpc_endpoint_ids } }
      },
    ]
  }

  document_body = {
    openapi = local.document.openapi
    info    = merge(local.document.info, { title = var.name })
    paths   = local.paths
    components = {
      schemas         = local.schemas
      securitySchemes = merge(local.key_scheme, local.iam_scheme)
    }
    x-amazon-apigateway-request-validators = {
      body = { validateRequestBody = true, validateRequestParameters = false }
    }
    x-amazon-apigateway-gateway-responses = local.gateway_responses
    x-amazon-apigateway-policy            = local.is_private ? local.private_policy : null
  }
  body = { for word, value in local.document_body : word => value if value != null }
}

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

# Logs

resource "aws_cloudwatch_log_group" "access" {
  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# API Gateway would make it itself, to be kept for ever.
resource "aws_cloudwatch_log_group" "execution" {
  name              = "API-Gateway-Execution-Logs_${aws_api_gateway_rest_api.this.id}/${local.stage}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

# API Gateway writes all logs of a region by one role of the account, which a new account lacks.
resource "aws_iam_role" "logs" {
  count = var.manage_account_log_role ? 1 : 0

  name        = "${var.name}-api-logs"
  description = "API Gateway writes its logs"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "apigateway.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  count = var.manage_account_log_role ? 1 : 0

  role       = aws_iam_role.logs[0].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_api_gateway_account" "this" {
  count = var.manage_account_log_role ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.logs[0].arn

  depends_on = [aws_iam_role_policy_attachment.logs]
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
