"""Lambda: the zips of functions and layers, to be fetched where Lambda says they are."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

from moto.awslambda import urls
from moto.awslambda.responses import LambdaResponse
from moto.awslambda.utils import get_backend

from tests.local.http_client import fetch
from tests.local.moto_gaps.gap import ACCOUNT_ID, ClientFactory, Gap, around, kept, methods
from tests.local.moto_gaps.lambda_probe import make_function, zip_bytes

# moto's server reads service and region out of an unsigned path of this form.
_PATH = r"{0}/lambda_(?P<region>[^/]+)/code/(?P<digest>[0-9a-f]+).zip"


def _has_no_code(client: ClientFactory) -> bool:
    functions = make_function(client, "probe-code")
    found = functions.get_function(FunctionName="probe-code", Qualifier="live")
    return not _is_there(functions, found["Code"]["Location"])


def _has_no_layer(client: ClientFactory) -> bool:
    layers = client("lambda")
    made = layers.publish_layer_version(LayerName="probe", Content={"ZipFile": zip_bytes()})
    found = layers.get_layer_version(LayerName="probe", VersionNumber=made["Version"])
    return not _is_there(layers, found["Content"]["Location"])


def _is_there(client: Any, location: str) -> bool:
    # Another host is not even asked: moto names one in the internet.
    if not location.startswith(client.meta.endpoint_url):
        return False
    return fetch(location).body == zip_bytes()


def _location(response: Any, digest: str, code: bytes) -> str:
    """Keep the code for as long as the account lives, and return where it is."""
    name = base64.b64decode(digest).hex()
    kept(response.backend, "code")[name] = code
    host = urlsplit(response.uri).netloc
    return f"http://{host}/lambda_{response.region}/code/{name}.zip"


def _serve(request: Any, full_url: str, headers: Any) -> Any:
    _, service_and_region, _, file = request.path.split("/")
    backend = get_backend(ACCOUNT_ID, service_and_region.partition("_")[2])
    code = kept(backend, "code").get(file.removesuffix(".zip"))
    return (404, {}, b"") if code is None else (200, {"Content-Type": "application/zip"}, code)


def _get_function(plain: Any, response: Any) -> str:
    found = json.loads(plain(response))
    name = unquote(response.path.rsplit("/", 1)[-1])
    function = response.backend.get_function(name, response._get_param("Qualifier"))
    location = _location(response, function.code_sha_256, function.code_bytes)
    return json.dumps(found | {"Code": found["Code"] | {"Location": location}})


def _layer(response: Any, layer: Any) -> str:
    found = layer.get_layer_version()
    location = _location(response, layer.code_sha_256, layer.code_bytes)
    return json.dumps(found | {"Content": found["Content"] | {"Location": location}})


def _get_layer(_plain: Any, response: Any) -> str:
    *_, name, _, version = response.path.split("/")
    return _layer(response, response.backend.get_layer_version(unquote(name), version))


def _get_layer_by_arn(response: Any) -> str:
    *_, name, version = response._get_param("Arn").split(":")
    return _layer(response, response.backend.get_layer_version(name, version))


@contextmanager
def _with_code() -> Iterator[None]:
    with (
        patch.dict(urls.url_paths, {_PATH: _serve}),
        around(LambdaResponse, "get_function", _get_function),
    ):
        yield


@contextmanager
def _with_layers() -> Iterator[None]:
    with (
        patch.dict(urls.url_paths, {_PATH: _serve}),
        around(LambdaResponse, "get_layer_version", _get_layer),
        methods(LambdaResponse, get_layer_version_by_arn=_get_layer_by_arn),
    ):
        yield


GAPS = (
    Gap("a function's code where it says it is", _has_no_code, _with_code),
    Gap("a layer's code where it says it is", _has_no_layer, _with_layers),
)
