"""Bedrock: application inference profiles."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from moto.bedrock.exceptions import ResourceNotFoundException
from moto.bedrock.models import BedrockBackend
from moto.bedrock.responses import BedrockResponse
from moto.core.utils import iso_8601_datetime_with_milliseconds
from moto.moto_api._internal import mock_random

from tests.local.moto_gaps.gap import ClientFactory, Gap, around, is_missing, kept, methods


def _has_no_profiles(client: ClientFactory) -> bool:
    return is_missing(client("bedrock").list_inference_profiles)


def _profiles(backend: Any) -> dict[str, dict[str, Any]]:
    return kept(backend, "inference_profiles")


def _create(response: Any) -> Any:
    backend, given = response.bedrock_backend, json.loads(response.body)
    profile_id = mock_random.get_random_hex(12)
    where = f"{backend.region_name}:{backend.account_id}"
    arn = f"arn:aws:bedrock:{where}:application-inference-profile/{profile_id}"
    now = iso_8601_datetime_with_milliseconds()
    _profiles(backend)[arn] = {
        "inferenceProfileArn": arn,
        "inferenceProfileId": profile_id,
        "inferenceProfileName": given["inferenceProfileName"],
        "models": [{"modelArn": given["modelSource"]["copyFrom"]}],
        "status": "ACTIVE",
        "type": "APPLICATION",
        "createdAt": now,
        "updatedAt": now,
    } | {word: given[word] for word in ("description",) if word in given}
    backend.tag_resource(arn, given.get("tags", []))
    answer = {"inferenceProfileArn": arn, "status": "ACTIVE"}
    return 201, {"status": 201}, json.dumps(answer)


def _find(response: Any) -> dict[str, Any]:
    """Return the profile that the path names, by its ARN or its id."""
    name = unquote(response.path.partition("/inference-profiles/")[2])
    for arn, profile in _profiles(response.bedrock_backend).items():
        if name in (arn, profile["inferenceProfileId"]):
            return profile
    raise ResourceNotFoundException(f"there is no inference profile {name}")


def _get(response: Any) -> str:
    return json.dumps(_find(response))


def _list(response: Any) -> str:
    profiles = list(_profiles(response.bedrock_backend).values())
    return json.dumps({"inferenceProfileSummaries": profiles})


def _delete(response: Any) -> str:
    del _profiles(response.bedrock_backend)[_find(response)["inferenceProfileArn"]]
    return json.dumps({})


def _list_arns(plain: Any, backend: Any) -> list[str]:
    return [*plain(backend), *_profiles(backend)]


@contextmanager
def _with_profiles() -> Iterator[None]:
    with (
        methods(
            BedrockResponse,
            create_inference_profile=_create,
            get_inference_profile=_get,
            list_inference_profiles=_list,
            delete_inference_profile=_delete,
        ),
        # Only what is in this list can have tags.
        around(BedrockBackend, "_list_arns", _list_arns),
    ):
        yield


GAPS = (Gap("application inference profiles", _has_no_profiles, _with_profiles),)
