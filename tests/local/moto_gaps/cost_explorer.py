"""Cost Explorer: anomaly monitors and the subscriptions to what they find."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from moto.ce.responses import CostExplorerResponse
from moto.core.exceptions import JsonRESTError
from moto.moto_api._internal import mock_random

from tests.local.moto_gaps.gap import Gap, is_missing, kept, methods


@dataclass(frozen=True, slots=True)
class _Anomaly:
    """The four actions of monitors or of subscriptions, which differ only by this word."""

    kind: str

    def create(self, response: Any) -> str:
        backend, given = response.ce_backend, json.loads(response.body)
        arn = f"arn:aws:ce::{backend.account_id}:anomaly{self.kind.lower()}/{mock_random.uuid4()}"
        mine = {f"{self.kind}Arn": arn, "AccountId": backend.account_id}
        self._table(response)[arn] = given[f"Anomaly{self.kind}"] | mine
        backend.tag_resource(arn, given.get("ResourceTags", []))
        return json.dumps({f"{self.kind}Arn": arn})

    def get(self, response: Any) -> str:
        asked = json.loads(response.body).get(f"{self.kind}ArnList") or self._table(response)
        return json.dumps({f"Anomaly{self.kind}s": [self._find(response, arn) for arn in asked]})

    def update(self, response: Any) -> str:
        given = json.loads(response.body)
        self._find(response, given[f"{self.kind}Arn"]).update(given)
        return json.dumps({f"{self.kind}Arn": given[f"{self.kind}Arn"]})

    def delete(self, response: Any) -> str:
        found = self._find(response, json.loads(response.body)[f"{self.kind}Arn"])
        del self._table(response)[found[f"{self.kind}Arn"]]
        return json.dumps({})

    def _table(self, response: Any) -> dict[str, dict[str, Any]]:
        return kept(response.ce_backend, self.kind)

    def _find(self, response: Any, arn: str) -> dict[str, Any]:
        found = self._table(response).get(arn)
        if found is None:
            raise JsonRESTError(f"Unknown{self.kind}Exception", f"there is no {arn}")
        return found


def _with(kind: str) -> AbstractContextManager[object]:
    # Functions, because moto looks for those only.
    anomaly, name = _Anomaly(kind), f"anomaly_{kind.lower()}"
    return methods(
        CostExplorerResponse,
        **{
            f"create_{name}": lambda response: anomaly.create(response),
            f"get_{name}s": lambda response: anomaly.get(response),
            f"update_{name}": lambda response: anomaly.update(response),
            f"delete_{name}": lambda response: anomaly.delete(response),
        },
    )


GAPS = (
    Gap(
        "cost anomaly monitors",
        lambda client: is_missing(client("ce").get_anomaly_monitors),
        lambda: _with("Monitor"),
    ),
    Gap(
        "cost anomaly subscriptions",
        lambda client: is_missing(client("ce").get_anomaly_subscriptions),
        lambda: _with("Subscription"),
    ),
)
