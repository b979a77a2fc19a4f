"""API Gateway: the OpenAPI document that a stage serves, and an API's policy."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from moto.apigateway.models import APIGatewayBackend, RestAPI
from moto.apigateway.responses import APIGatewayResponse

from tests.local.moto_gaps.gap import ClientFactory, Gap, around, kept

_INTEGRATION = {
    "type": "aws_proxy",
    "httpMethod": "POST",
    "uri": "arn:aws:apigateway:ap-northeast-1:lambda:path/2015-03-31/functions/probe/invocations",
}
DOCUMENT = {
    "openapi": "3.0.3",
    "info": {"title": "probe", "version": "1"},
    "paths": {
        "/probe": {
            "get": {
                "responses": {"200": {"description": "What was asked for."}},
                "x-amazon-apigateway-integration": _INTEGRATION,
            }
        }
    },
    "x-amazon-apigateway-gateway-responses": {"THROTTLED": {"statusCode": "429"}},
}


def _exports_something_else(client: ClientFactory) -> bool:
    gateway = client("apigateway")
    api_id = gateway.create_rest_api(name="probe-export")["id"]
    gateway.put_rest_api(restApiId=api_id, mode="overwrite", body=json.dumps(DOCUMENT))
    gateway.create_deployment(restApiId=api_id, stageName="live")
    answer = gateway.get_export(
        restApiId=api_id,
        stageName="live",
        exportType="oas30",
        parameters={"extensions": "apigateway"},
    )
    return bool(json.loads(answer["body"].read()) != DOCUMENT)


def _put(plain: Any, backend: Any, function_id: str, api_doc: Any, *rest: Any, **more: Any) -> Any:
    api = plain(backend, function_id, api_doc, *rest, **more)
    kept(backend, "documents")[function_id] = api_doc
    return api


def _deploy(plain: Any, backend: Any, function_id: str, *rest: Any, **more: Any) -> Any:
    deployment = plain(backend, function_id, *rest, **more)
    # A stage serves the document of its deployment, whatever the API became since.
    document = kept(backend, "documents").get(function_id)
    kept(backend, "deployed")[function_id, deployment.id] = document
    return deployment


def _export(plain: Any, response: Any) -> Any:
    _, api_id, _, stage_name, _, kind = response.path.strip("/").split("/")
    stage = response.backend.get_stage(api_id, stage_name)
    document = kept(response.backend, "deployed").get((api_id, stage.deployment_id))
    if document is None or kind != "oas30":
        return plain(response)
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


@contextmanager
def _with_documents() -> Iterator[None]:
    with (
        around(APIGatewayBackend, "put_rest_api", _put),
        around(APIGatewayBackend, "create_deployment", _deploy),
        around(APIGatewayResponse, "get_export", _export),
    ):
        yield


def _is_plain_json(client: ClientFactory) -> bool:
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    made = client("apigateway").create_rest_api(name="probe-policy", policy=policy)
    return bool(made["policy"] == policy)


def _to_dict(plain: Any, api: Any) -> dict[str, Any]:
    found: dict[str, Any] = plain(api)
    return found | {"policy": found["policy"] and json.dumps(found["policy"])[1:-1]}


def _with_escaped_policies() -> AbstractContextManager[object]:
    return around(RestAPI, "to_dict", _to_dict)


GAPS = (
    Gap("the deployed OpenAPI document in an export", _exports_something_else, _with_documents),
    # Terraform reads it so: `flattenAPIPolicy` in internal/service/apigateway/rest_api.go of
    # https://github.com/hashicorp/terraform-provider-aws.
    Gap("an API's policy with its quotes escaped", _is_plain_json, _with_escaped_policies),
)
