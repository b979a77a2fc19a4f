mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name         = "demo"
  openapi_path = "./openapi.json"
  kms_key_arn  = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-4000-8000-000000000000"
  function = {
    name       = "demo-classifier"
    alias      = "live"
    invoke_arn = "arn:aws:apigateway:ap-northeast-1:lambda:path/2015-03-31/functions/classifier/invocations"
  }
  authorizer = {
    name       = "demo-authorizer"
    alias      = "live"
    invoke_arn = "arn:aws:apigateway:ap-northeast-1:lambda:path/2015-03-31/functions/authorizer/invocations"
  }
}

run "serves_every_path_of_the_document_by_the_function" {
  module {
    source = "./modules/rest_api"
  }

  assert {
    condition = { for path, methods in jsondecode(aws_api_gateway_rest_api.this.body).paths : path => keys(methods) } == {
      for path, methods in jsondecode(file("./openapi.json")).paths : path => keys(methods)
    }
    error_message = "The API must serve the paths and methods of openapi.json, no less and no more."
  }

  assert {
    condition = alltrue(flatten([
      for methods in values(jsondecode(aws_api_gateway_rest_api.this.body).paths) : [
        for operation in values(methods) : operation["x-amazon-apigateway-integration"] == {
          type            = "aws_proxy"
          httpMethod      = "POST"
          uri             = var.function.invoke_arn
          timeoutInMillis = 29000
        }
      ]
    ]))
    error_message = "Every operation must reach the function's alias, within 29 seconds."
  }

  assert {
    condition     = aws_lambda_permission.function.function_name == "demo-classifier" && aws_lambda_permission.function.qualifier == "live" && aws_lambda_permission.function.source_arn == "arn:aws:execute-api:ap-northeast-1:123456789012:abcdefghij/live/*"
    error_message = "Only the live stage of this API may call the function."
  }

  assert {
    condition     = aws_lambda_permission.authorizer[0].function_name == "demo-authorizer" && aws_lambda_permission.authorizer[0].source_arn == "arn:aws:execute-api:ap-northeast-1:123456789012:abcdefghij/authorizers/*"
    error_message = "Only this API may call the authorizer."
  }
}

run "asks_for_a_key_everywhere_but_at_healthz" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  assert {
    condition     = [for path, methods in jsondecode(aws_api_gateway_rest_api.this.body).paths : path if anytrue([for operation in values(methods) : !can(operation.security)])] == ["/healthz"]
    error_message = "Only /healthz may be called without a key."
  }

  assert {
    condition = alltrue(flatten([
      for methods in values(jsondecode(aws_api_gateway_rest_api.this.body).paths) : [
        for operation in values(methods) : operation.security == [{ key = [] }] if can(operation.security)
      ]
    ]))
    error_message = "Every other route must ask for the key."
  }

  assert {
    condition = jsondecode(aws_api_gateway_rest_api.this.body).components.securitySchemes.key == {
      type                         = "apiKey"
      name                         = "Authorization"
      in                           = "header"
      x-amazon-apigateway-authtype = "custom"
      x-amazon-apigateway-authorizer = {
        type                         = "token"
        authorizerUri                = var.authorizer.invoke_arn
        authorizerResultTtlInSeconds = 60
        identityValidationExpression = "^[Bb]earer +[!-~]+$"
      }
    }
    error_message = "The authorizer must check the Authorization header; a revoked key may live on for a minute."
  }

  assert {
    condition     = keys(jsondecode(aws_api_gateway_rest_api.this.body).components.securitySchemes) == ["key"]
    error_message = "There must be no second way in."
  }
}

run "leaves_callers_to_iam_where_there_is_no_authorizer" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    authorizer = null
  }

  assert {
    condition = jsondecode(aws_api_gateway_rest_api.this.body).components.securitySchemes == {
      iam = { type = "apiKey", name = "Authorization", in = "header", x-amazon-apigateway-authtype = "awsSigv4" }
    }
    error_message = "Requests must be signed with Signature Version 4."
  }

  assert {
    condition = { for path, methods in jsondecode(aws_api_gateway_rest_api.this.body).paths : path => [for operation in values(methods) : try(keys(operation.security[0]), [])] } == {
      for path, methods in jsondecode(file("./openapi.json")).paths : path => [for operation in values(methods) : [for scheme in ["iam"] : scheme if path != "/healthz"]]
    }
    error_message = "Every route but /healthz must be signed."
  }

  assert {
    condition     = length(aws_lambda_permission.authorizer) == 0
    error_message = "There is no authorizer to call."
  }

  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-gateway-responses"].MISSING_AUTHENTICATION_TOKEN.statusCode == "403"
    error_message = "An unsigned request is forbidden, not lost."
  }
}

run "checks_that_required_fields_are_there_and_no_more" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-request-validators"] == { body = { validateRequestBody = true, validateRequestParameters = false } }
    error_message = "Bodies must be checked before a function is paid for."
  }

  assert {
    condition     = alltrue(flatten([for methods in values(jsondecode(aws_api_gateway_rest_api.this.body).paths) : [for operation in values(methods) : operation["x-amazon-apigateway-request-validator"] == "body"]]))
    error_message = "Every operation must be checked."
  }

  assert {
    condition = { for name, schema in jsondecode(aws_api_gateway_rest_api.this.body).components.schemas : name => schema } == {
      for name in ["ChatCompletionRequest", "FeedbackRequest"] : name => { type = "object", required = jsondecode(file("./openapi.json")).components.schemas[name].required }
    }
    error_message = "API Gateway's models know no `nullable`: of a schema only the required fields may be kept."
  }

  assert {
    condition     = !strcontains(aws_api_gateway_rest_api.this.body, "nullable") && !strcontains(aws_api_gateway_rest_api.this.body, "\"properties\"")
    error_message = "Properties are the function's to check."
  }
}

run "refuses_in_the_shape_that_clients_read" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  assert {
    condition = alltrue([
      for response in values(jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-gateway-responses"]) :
      keys(jsondecode(response.responseTemplates["application/json"]).error) == ["code", "message", "param", "type"]
    ])
    error_message = "Each refusal must be an error as OpenAI's clients know it."
  }

  assert {
    condition = {
      for kind, response in jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-gateway-responses"] : kind => response.statusCode if can(response.statusCode)
      } == {
      UNAUTHORIZED = "401", ACCESS_DENIED = "403", MISSING_AUTHENTICATION_TOKEN = "404", BAD_REQUEST_BODY = "400", REQUEST_TOO_LARGE = "413", THROTTLED = "429",
      WAF_FILTERED = "403", AUTHORIZER_FAILURE = "500", AUTHORIZER_CONFIGURATION_ERROR = "500", INTEGRATION_TIMEOUT = "504", INTEGRATION_FAILURE = "502"
    }
    error_message = "A refusal has another status than clients act upon."
  }

  assert {
    condition     = !strcontains(jsonencode(jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-gateway-responses"]), "$context")
    error_message = "What the gateway fills in may hold quotation marks, which break the JSON."
  }

  assert {
    condition     = strcontains(jsondecode(jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-gateway-responses"].BAD_REQUEST_BODY.responseTemplates["application/json"]).error.message, "ChatCompletionRequest: messages")
    error_message = "Who forgot a field must read which there are."
  }

  assert {
    condition     = jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-gateway-responses"].THROTTLED.responseParameters == { "gatewayresponse.header.Retry-After" = "'1'" }
    error_message = "Who is throttled must hear when to come again."
  }
}

run "logs_who_and_when_but_no_prompt_and_no_key" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    log_retention_days = 30
  }

  assert {
    condition     = !one(aws_api_gateway_method_settings.all.settings).data_trace_enabled && one(aws_api_gateway_method_settings.all.settings).logging_level == "ERROR"
    error_message = "Tracing of data would write prompts into the log."
  }

  assert {
    condition = alltrue([
      for what in jsondecode(one(aws_api_gateway_stage.live.access_log_settings).format) :
      contains(["requestId", "requestTimeEpoch", "httpMethod", "resourcePath", "status", "authorizer.key_id", "responseLatency", "integrationLatency", "responseLength", "error.responseType"], trimprefix(what, "$context."))
    ])
    error_message = "The access log must hold no body, no query and no Authorization header."
  }

  assert {
    condition     = aws_cloudwatch_log_group.access.retention_in_days == 30 && aws_cloudwatch_log_group.execution.retention_in_days == 30
    error_message = "Neither log may be kept, and paid for, for ever."
  }

  assert {
    condition     = aws_cloudwatch_log_group.access.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.execution.kms_key_id == var.kms_key_arn
    error_message = "Both logs must be encrypted with the key that was given."
  }

  assert {
    condition     = aws_cloudwatch_log_group.execution.name == "API-Gateway-Execution-Logs_abcdefghij/live"
    error_message = "The execution log must be the one that API Gateway would make itself."
  }
}

run "lets_through_only_so_many_requests" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    requests_per_second = 7
    burst               = 9
    timeout_seconds     = 60
  }

  assert {
    condition     = one(aws_api_gateway_method_settings.all.settings).throttling_rate_limit == 7 && one(aws_api_gateway_method_settings.all.settings).throttling_burst_limit == 9 && aws_api_gateway_method_settings.all.method_path == "*/*"
    error_message = "The limits must hold for every method."
  }

  assert {
    condition     = !one(aws_api_gateway_method_settings.all.settings).metrics_enabled
    error_message = "Metrics by method are paid for one by one."
  }

  assert {
    condition     = alltrue(flatten([for methods in values(jsondecode(aws_api_gateway_rest_api.this.body).paths) : [for operation in values(methods) : operation["x-amazon-apigateway-integration"].timeoutInMillis == 60000]]))
    error_message = "The gateway must wait as long as it was told."
  }
}

run "is_public_and_regional_without_a_firewall_by_default" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  assert {
    condition     = aws_api_gateway_rest_api.this.endpoint_configuration[0].types == tolist(["REGIONAL"]) && !contains(keys(jsondecode(aws_api_gateway_rest_api.this.body)), "x-amazon-apigateway-policy")
    error_message = "Without VPC endpoints the API is a regional one."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == 0 && length(aws_wafv2_web_acl_association.this) + length(aws_cloudwatch_log_group.firewall) == 0
    error_message = "The firewall costs money while idle: it must be asked for."
  }

  assert {
    condition     = length(aws_api_gateway_domain_name.this) == 0 && output.domain_target == null && output.url == "https://abcdefghij.execute-api.ap-northeast-1.amazonaws.com/live"
    error_message = "Without a name of one's own the URL is API Gateway's."
  }

  assert {
    condition     = length(aws_api_gateway_account.this) == 1 && jsondecode(aws_iam_role.logs[0].assume_role_policy).Statement[0].Principal == { Service = "apigateway.amazonaws.com" }
    error_message = "A new account lacks the role by which API Gateway writes its logs."
  }
}

run "leaves_the_accounts_log_role_alone_where_told" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    manage_account_log_role = false
  }

  assert {
    condition     = length(aws_api_gateway_account.this) + length(aws_iam_role.logs) + length(aws_iam_role_policy_attachment.logs) == 0
    error_message = "The account's own role must not be replaced."
  }
}

run "the_firewall_judges_size_and_rate_and_only_counts_by_content" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    waf                           = true
    waf_requests_per_five_minutes = 500
  }

  assert {
    condition     = { for rule in aws_wafv2_web_acl.this[0].rule : rule.name => rule.priority } == { too-many-requests = 0, body-size = 1, known-bad-inputs = 2 }
    error_message = "The firewall has three rules; each costs a dollar a month."
  }

  assert {
    condition     = one([for rule in aws_wafv2_web_acl.this[0].rule : rule.statement[0].rate_based_statement[0].limit if rule.name == "too-many-requests"]) == 500
    error_message = "One address may send so many requests and no more."
  }

  assert {
    condition = {
      for bytes in ["6999999", "7000000", "10000000", "100", "69999"] : bytes =>
      can(regex(one([for rule in aws_wafv2_web_acl.this[0].rule : rule.statement[0].regex_match_statement[0].regex_string if rule.name == "body-size"]), bytes))
    } == { "6999999" = false, "7000000" = true, "10000000" = true, "100" = false, "69999" = false }
    error_message = "Bodies of 7 MB and above must be blocked, and no smaller one."
  }

  assert {
    condition     = one([for rule in aws_wafv2_web_acl.this[0].rule : rule.statement[0].regex_match_statement[0].field_to_match[0].single_header[0].name if rule.name == "body-size"]) == "content-length"
    error_message = "WAF reads the head of a body only: its size stands in the header."
  }

  assert {
    condition     = alltrue([for rule in aws_wafv2_web_acl.this[0].rule : length(one(rule.action).block) == 1 if rule.name != "known-bad-inputs"])
    error_message = "Floods and oversized bodies must be blocked."
  }

  assert {
    condition = toset(flatten([
      for rule in aws_wafv2_web_acl.this[0].rule : [
        for override in rule.statement[0].managed_rule_group_statement[0].rule_action_override : override.name if length(one(override.action_to_use).count) == 1
      ] if rule.name == "known-bad-inputs"
    ])) == toset(["JavaDeserializationRCE_BODY", "Log4JRCE_BODY", "ReactJSRCE_BODY"])
    error_message = "Rules that read bodies may only count: a question about Log4j is a question."
  }

  assert {
    condition     = alltrue([for rule in aws_wafv2_web_acl.this[0].rule : !one(rule.visibility_config).sampled_requests_enabled]) && !one(aws_wafv2_web_acl.this[0].visibility_config).sampled_requests_enabled
    error_message = "A sampled request shows its headers, and with them keys."
  }

  assert {
    condition     = one(one(aws_wafv2_web_acl_logging_configuration.this[0].redacted_fields).single_header).name == "authorization"
    error_message = "The firewall's log shows headers: the one with the key must be left out."
  }

  assert {
    condition     = startswith(aws_cloudwatch_log_group.firewall[0].name, "aws-waf-logs-") && aws_cloudwatch_log_group.firewall[0].retention_in_days == 365 && aws_cloudwatch_log_group.firewall[0].kms_key_id == var.kms_key_arn
    error_message = "The firewall's log must have the name that WAF takes, an end and the key that was given."
  }

  assert {
    condition     = aws_wafv2_web_acl_association.this[0].resource_arn == aws_api_gateway_stage.live.arn
    error_message = "The firewall must stand before the stage."
  }
}

run "a_private_api_denies_whoever_comes_by_another_way" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    vpc_endpoint_ids = ["vpce-0123456789abcdef0"]
  }

  assert {
    condition     = aws_api_gateway_rest_api.this.endpoint_configuration[0].types == tolist(["PRIVATE"]) && aws_api_gateway_rest_api.this.endpoint_configuration[0].vpc_endpoint_ids == toset(["vpce-0123456789abcdef0"])
    error_message = "With VPC endpoints the API must be private."
  }

  assert {
    condition = [for one in jsondecode(aws_api_gateway_rest_api.this.body)["x-amazon-apigateway-policy"].Statement : one if one.Effect == "Deny"] == [{
      Effect    = "Deny"
      Principal = "*"
      Action    = "execute-api:Invoke"
      Resource  = "execute-api:/*"
      Condition = { StringNotEquals = { "aws:SourceVpce" = ["vpce-0123456789abcdef0"] } }
    }]
    error_message = "Other VPC endpoints must be denied, those of strangers included."
  }
}

run "takes_a_name_of_ones_own" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    domain = {
      name            = "router.example.com"
      certificate_arn = "arn:aws:acm:ap-northeast-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"
    }
  }

  assert {
    condition     = aws_api_gateway_domain_name.this[0].domain_name == "router.example.com" && aws_api_gateway_domain_name.this[0].security_policy == "TLS_1_2"
    error_message = "The name must be served with TLS 1.2 or better."
  }

  assert {
    condition     = aws_api_gateway_base_path_mapping.this[0].stage_name == "live" && output.url == "https://router.example.com"
    error_message = "The name must lead to the live stage."
  }
}

run "refuses_limits_that_aws_does_not_know" {
  command = plan

  module {
    source = "./modules/rest_api"
  }

  variables {
    timeout_seconds               = 301
    waf_requests_per_five_minutes = 9
  }

  expect_failures = [var.timeout_seconds, var.waf_requests_per_five_minutes]
}
