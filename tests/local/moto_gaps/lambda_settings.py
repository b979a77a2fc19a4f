"""Lambda: what functions are set to, and provisioned concurrency."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

from moto.awslambda import urls
from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import LambdaFunction
from moto.awslambda.responses import LambdaResponse
from moto.core.utils import iso_8601_datetime_with_milliseconds

from tests.local.moto_gaps.gap import ClientFactory, Gap, around, is_missing, kept, methods
from tests.local.moto_gaps.lambda_probe import make_function

_SETTINGS: dict[str, dict[str, Any] | str] = {
    "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:ap-northeast-1:123456789012:dead"},
    "EphemeralStorage": {"Size": 1024},
    "KMSKeyArn": "arn:aws:kms:ap-northeast-1:123456789012:key/probe",
    "LoggingConfig": {"LogFormat": "JSON", "LogGroup": "/probe"},
    "SnapStart": {"ApplyOn": "PublishedVersions"},
    "TracingConfig": {"Mode": "Active"},
}


def _loses_settings(client: ClientFactory) -> bool:
    make_function(client, "probe-made", **_SETTINGS)
    functions = make_function(client, "probe-changed")
    functions.update_function_configuration(FunctionName="probe-changed", **_SETTINGS)
    functions.publish_version(FunctionName="probe-changed")
    versions = [("probe-made", "1"), ("probe-changed", "$LATEST"), ("probe-changed", "2")]
    found = [
        functions.get_function_configuration(FunctionName=name, Qualifier=version)
        for name, version in versions
    ]
    states = [each.get("SnapStart", {}).pop("OptimizationStatus", None) for each in found]
    return states != ["On", "Off", "On"] or any(
        each.get(word) != value for each in found for word, value in _SETTINGS.items()
    )


def _start(plain: Any, function: Any, *, spec: dict[str, Any], **named: Any) -> None:
    function.settings = _of(spec)
    plain(function, spec=spec, **named)


def _of(spec: dict[str, Any]) -> dict[str, Any]:
    return {word: spec[word] for word in _SETTINGS if word in spec}


def _change(plain: Any, function: Any, updates: dict[str, Any]) -> Any:
    # A new table, because versions published before share the old one.
    function.settings = function.settings | _of(updates)
    return plain(function, updates)


def _configuration(plain: Any, function: Any, **named: Any) -> dict[str, Any]:
    found: dict[str, Any] = plain(function, **named)
    group = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.function_name}"}
    found |= {"LoggingConfig": group} | function.settings
    is_on = found["SnapStart"]["ApplyOn"] != "None" and function.version != "$LATEST"
    status = {"OptimizationStatus": "On" if is_on else "Off"}
    return found | {"SnapStart": found["SnapStart"] | status}


@contextmanager
def _with_settings() -> Iterator[None]:
    with (
        around(LambdaFunction, "__init__", _start),
        around(LambdaFunction, "update_configuration", _change),
        around(LambdaFunction, "get_configuration", _configuration),
    ):
        yield


_PATH = r"{0}/2019-09-30/functions/(?P<function_name>[\w_:%-]+)/provisioned-concurrency"


def _has_no_provisioned_concurrency(client: ClientFactory) -> bool:
    return is_missing(
        make_function(client, "probe-provisioned").put_provisioned_concurrency_config,
        FunctionName="probe-provisioned",
        Qualifier="live",
        ProvisionedConcurrentExecutions=1,
    )


def _table_and_key(response: Any) -> tuple[dict[Any, Any], tuple[str, str]]:
    function = response.backend.get_function(unquote(response.path.split("/")[-2]))
    key = (function.function_name, response._get_param("Qualifier"))
    return kept(response.backend, "provisioned_concurrency"), key


def _put(response: Any) -> Any:
    table, key = _table_and_key(response)
    wanted = json.loads(response.body)["ProvisionedConcurrentExecutions"]
    table[key] = {
        "RequestedProvisionedConcurrentExecutions": wanted,
        "AvailableProvisionedConcurrentExecutions": wanted,
        "AllocatedProvisionedConcurrentExecutions": wanted,
        "Status": "READY",
        "LastModified": iso_8601_datetime_with_milliseconds(),
    }
    return 202, {"status": 202}, json.dumps(table[key])


def _get(response: Any) -> str:
    table, key = _table_and_key(response)
    if key not in table:
        raise LambdaClientError(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
        )
    return json.dumps(table[key])


def _delete(response: Any) -> Any:
    table, key = _table_and_key(response)
    table.pop(key, None)
    return 204, {"status": 204}, ""


@contextmanager
def _with_provisioned_concurrency() -> Iterator[None]:
    with (
        patch.dict(urls.url_paths, {_PATH: LambdaResponse.dispatch}),
        methods(
            LambdaResponse,
            put_provisioned_concurrency_config=_put,
            get_provisioned_concurrency_config=_get,
            delete_provisioned_concurrency_config=_delete,
        ),
    ):
        yield


GAPS = (
    Gap(
        "settings of a function: dead letters, storage, key, logging, SnapStart, tracing",
        _loses_settings,
        _with_settings,
    ),
    Gap(
        "provisioned concurrency",
        _has_no_provisioned_concurrency,
        _with_provisioned_concurrency,
    ),
)
