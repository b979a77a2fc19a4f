"""CloudWatch Logs: saved queries."""

import json
import time
from contextlib import AbstractContextManager
from typing import Any

from moto.logs.responses import LogsResponse
from moto.moto_api._internal import mock_random

from tests.local.moto_gaps.gap import ClientFactory, Gap, is_missing, kept, methods


def _has_no_queries(client: ClientFactory) -> bool:
    return is_missing(client("logs").describe_query_definitions)


def _queries(response: Any) -> dict[str, Any]:
    return kept(response.logs_backend, "query_definitions")


def _put(response: Any) -> str:
    given = json.loads(response.body)
    query_id = given.get("queryDefinitionId") or str(mock_random.uuid4())
    _queries(response)[query_id] = {
        "queryDefinitionId": query_id,
        "queryLanguage": "CWLI",
        "name": given["name"],
        "queryString": given["queryString"],
        "logGroupNames": given.get("logGroupNames", []),
        "lastModified": int(time.time() * 1000),
    }
    return json.dumps({"queryDefinitionId": query_id})


def _describe(response: Any) -> str:
    prefix = json.loads(response.body).get("queryDefinitionNamePrefix", "")
    found = [query for query in _queries(response).values() if query["name"].startswith(prefix)]
    return json.dumps({"queryDefinitions": found})


def _delete(response: Any) -> str:
    query_id = json.loads(response.body)["queryDefinitionId"]
    return json.dumps({"success": _queries(response).pop(query_id, None) is not None})


def _with_queries() -> AbstractContextManager[object]:
    return methods(
        LogsResponse,
        put_query_definition=_put,
        describe_query_definitions=_describe,
        delete_query_definition=_delete,
    )


GAPS = (Gap("saved Logs Insights queries", _has_no_queries, _with_queries),)
