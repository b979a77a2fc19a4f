"""What Terraform built, read back from the account and run: gateway, functions, queue.

Nothing here knows what the deployment should look like: routes, authorizer and timeouts come from
the document that API Gateway exports, handlers, variables and zips from Lambda, batches from the
queue's mapping.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.local.aws import ACCOUNT_ID, REGION, LoopbackAws
from tests.local.gateway import LoopbackGateway
from tests.local.http_client import fetch
from tests.local.lambda_runtime import LambdaFunction
from tests.local.proxy_responses import Answer, GatewayError, StreamedAnswer
from tests.local.unpacked import unpack_zips

RECORDER = Path(__file__).with_name("recorder.py")
# The emulator may take its time on a busy machine.
PATIENCE = {"CACHE_TIMEOUT_SECONDS": "5", "TABLE_TIMEOUT_SECONDS": "5"}

_INTEGRATION = re.compile(r":lambda:path/2015-03-31/functions/(?P<arn>arn:[^/]+)/invocations$")


class WiringError(Exception):
    """What was built cannot work; the text says what does not fit."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of the API as API Gateway exports it."""

    function_arn: str
    is_open: bool
    timeout_seconds: float
    required: tuple[str, ...] | None
    """The fields a body must have; None where no body is looked at."""


@dataclass(frozen=True, slots=True)
class Api:
    """The stage of a REST API."""

    routes: Mapping[tuple[str, str], Route]
    """By method and path."""
    authorizer_arn: str | None
    refusals: Mapping[str, Mapping[str, Any]]
    """Gateway responses by kind."""

    def refusal(self, kind: str) -> GatewayError:
        """Return what the gateway answers itself."""
        found = self.refusals[kind]
        error = json.loads(found["responseTemplates"]["application/json"])["error"]
        return GatewayError(
            HTTPStatus(int(found["statusCode"])), error["code"], error["message"], error["type"]
        )


def read_api(aws: LoopbackAws, api_id: str, stage: str) -> Api:
    """Return what API Gateway says of a deployed stage."""
    exported = aws.client("apigateway").get_export(
        restApiId=api_id,
        stageName=stage,
        exportType="oas30",
        parameters={"extensions": "apigateway"},
    )
    document = json.loads(exported["body"].read())
    schemes = document["components"]["securitySchemes"]
    authorizers = [
        scheme["x-amazon-apigateway-authorizer"]["authorizerUri"]
        for scheme in schemes.values()
        if "x-amazon-apigateway-authorizer" in scheme
    ]
    return Api(
        routes={
            (method.upper(), path): _route(operation, document)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        },
        authorizer_arn=_function_of(authorizers[0]) if authorizers else None,
        refusals=document["x-amazon-apigateway-gateway-responses"],
    )


def _route(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Route:
    integration = operation["x-amazon-apigateway-integration"]
    if (integration["type"], integration["httpMethod"]) != ("aws_proxy", "POST"):
        raise WiringError(f"{operation['operationId']} is no Lambda proxy")
    validator = document["x-amazon-apigateway-request-validators"].get(
        operation.get("x-amazon-apigateway-request-validator"), {}
    )
    required = None
    if "requestBody" in operation and validator.get("validateRequestBody"):
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = document["components"]["schemas"][reference.rpartition("/")[2]]
        required = tuple(schema.get("required", ()))
    return Route(
        function_arn=_function_of(integration["uri"]),
        is_open=not operation.get("security"),
        timeout_seconds=integration["timeoutInMillis"] / 1000,
        required=required,
    )


def _function_of(uri: str) -> str:
    found = _INTEGRATION.search(uri)
    if found is None:
        raise WiringError(f"{uri} names no function")
    return found["arn"]


class DeployedFunctions:
    """The functions of the account, each started from its own zips when it is first called."""

    def __init__(
        self, aws: LoopbackAws, environment: Mapping[str, str], folder: Path, calls: Path
    ) -> None:
        """Add `environment` to each function's own; `calls` is a folder, a file a function."""
        self._aws = aws
        self._environment = environment
        self._folder = folder
        self._calls = calls
        self._lambda = aws.client("lambda")
        self._running: dict[str, LambdaFunction] = {}
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def get(self, alias_arn: str) -> LambdaFunction:
        """Return the function behind an alias."""
        if alias_arn not in self._running:
            self._running[alias_arn] = self._exit.enter_context(self._start(alias_arn))
        return self._running[alias_arn]

    def running(self) -> Iterable[LambdaFunction]:
        """Return those that were started."""
        return self._running.values()

    def check_permission(self, alias_arn: str, source_arn: str) -> None:
        """Refuse where API Gateway may not invoke a function from there.

        Raises:
            WiringError: no statement of the alias's policy allows it.
        """
        name, alias = _name_and_alias(alias_arn)
        policy = self._lambda.get_policy(FunctionName=name, Qualifier=alias)["Policy"]
        for statement in json.loads(policy)["Statement"]:
            pattern = statement["Condition"]["ArnLike"]["AWS:SourceArn"]
            if (
                statement["Effect"] == "Allow"
                and statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
                and statement["Action"] == "lambda:InvokeFunction"
                and fnmatchcase(source_arn, pattern)
            ):
                return
        raise WiringError(f"API Gateway may not invoke {alias_arn} for {source_arn}")

    def _start(self, alias_arn: str) -> LambdaFunction:
        name, alias = _name_and_alias(alias_arn)
        found = self._lambda.get_function(FunctionName=name, Qualifier=alias)
        settings = found["Configuration"]
        zips = self._folder / "zips"
        task = _fetch(found["Code"]["Location"], settings["CodeSha256"], zips)
        layers = []
        for layer in settings.get("Layers", []):
            content = self._lambda.get_layer_version_by_arn(Arn=layer["Arn"])["Content"]
            layers.append(_fetch(content["Location"], content["CodeSha256"], zips))
        version = settings["Version"]
        unpacked = unpack_zips(task, layers, self._folder, f"{name}-{version}")
        return LambdaFunction(
            settings["Handler"],
            {
                **settings.get("Environment", {}).get("Variables", {}),
                **self._environment,
                "RECORDED_CALLS": str(self._calls / name),
            },
            name=name,
            memory_mb=settings["MemorySize"],
            timeout_seconds=settings["Timeout"],
            unpacked=unpacked,
            wrapper=RECORDER,
        )


class DeployedGateway(LoopbackGateway):
    """Serves one stage on loopback, with the refusals that were given to it."""

    def __init__(self, api: Api, api_id: str, stage: str, functions: DeployedFunctions) -> None:
        self._api = api
        self._functions = functions
        for (method, path), route in api.routes.items():
            functions.check_permission(
                route.function_arn, f"{_EXECUTE}:{api_id}/{stage}/{method}{path}"
            )
        if api.authorizer_arn is None:
            raise WiringError("no authorizer checks keys: Signature Version 4 is not emulated")
        functions.check_permission(api.authorizer_arn, f"{_EXECUTE}:{api_id}/authorizers/any")
        authorizer = functions.get(api.authorizer_arn)
        super().__init__(
            self._dispatch,
            authorizer.handle,
            timeout_seconds=max(route.timeout_seconds for route in api.routes.values()),
            open_routes={place for place, route in api.routes.items() if route.is_open},
        )

    def answer(
        self, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Answer | StreamedAnswer:
        route = self._api.routes.get((method, path.partition("?")[0]))
        if route is None:
            raise self._api.refusal("MISSING_AUTHENTICATION_TOKEN")
        if route.required is not None and not _holds(body, route.required):
            raise self._api.refusal("BAD_REQUEST_BODY")
        return super().answer(method, path, headers, body)

    def _dispatch(self, event: dict[str, Any]) -> dict[str, Any]:
        route = self._api.routes[event["httpMethod"], event["path"]]
        return self._functions.get(route.function_arn).handle(event)


_EXECUTE = f"arn:aws:execute-api:{REGION}:{ACCOUNT_ID}"


def deliver(aws: LoopbackAws, functions: DeployedFunctions, queue_arn: str) -> Sequence[str]:
    """Hand what lies in a queue to the function that is mapped to it; return the failed ids."""
    (mapping,) = aws.client("lambda").list_event_source_mappings(EventSourceArn=queue_arn)[
        "EventSourceMappings"
    ]
    if "ReportBatchItemFailures" not in mapping["FunctionResponseTypes"]:
        raise WiringError("one bad message would have all of its batch delivered again")
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=queue_arn.rpartition(":")[2])["QueueUrl"]
    failed: list[str] = []
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=mapping["BatchSize"]
    ).get("Messages"):
        records = [
            {"messageId": one["MessageId"], "body": one["Body"], "eventSource": "aws:sqs"}
            for one in messages
        ]
        answer = functions.get(mapping["FunctionArn"]).handle({"Records": records})
        bad = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        failed += sorted(bad)
        for one in messages:
            if one["MessageId"] not in bad:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
    return failed


def _holds(body: bytes, required: Iterable[str]) -> bool:
    """Tell whether a body is a JSON object with these fields."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return False
    return isinstance(parsed, dict) and set(required) <= parsed.keys()


def _name_and_alias(alias_arn: str) -> tuple[str, str]:
    *_, name, alias = alias_arn.split(":")
    return name, alias


def _fetch(location: str, code_sha256: str, folder: Path) -> Path:
    """Fetch a zip, and believe it only if its digest is what Lambda says."""
    content = fetch(location).body
    digest = sha256(content)
    if b64encode(digest.digest()).decode() != code_sha256:
        raise WiringError(f"{location} is not the zip that Lambda has")
    folder.mkdir(exist_ok=True)
    path = folder / f"{digest.hexdigest()}.zip"
    path.write_bytes(content)
    return path
