# What API Gateway is given: the committed OpenAPI document says what there is, and laid over it here is
# how API Gateway serves it.
#
# Of a body's schema only "a JSON object with the required fields" is kept: API Gateway's models are JSON
# schema draft 4, which has no `nullable`, and clients do send null. The function checks the rest, in
# better words.

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
