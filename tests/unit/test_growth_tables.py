"""What one request asks of the tables, counted: GROWTH.md and its simulation rest on it."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from classifier.budgets import Budgets
from regroup.adapters.dynamodb_budgets import DynamoBudgetStore
from regroup.adapters.dynamodb_cache import DynamoPredictionCache
from regroup.adapters.dynamodb_decisions import DynamoDecisionStore
from regroup.adapters.dynamodb_sessions import DynamoSessionStore
from regroup.domain.budget import Budget
from regroup.domain.chat import fold
from regroup.domain.prediction import Prediction
from tests.bench.growth import MODELS
from tests.bench.growth_load import Requests
from tests.local.world import World, ask, small_world

UNIT_BYTES = 1_024
"""What one write unit writes."""


@dataclass(slots=True)
class CountingTables:
    """Stands for DynamoDB's client; counts calls, and knows the size of what is written."""

    calls: Counter[str] = field(default_factory=Counter)
    largest: dict[str, int] = field(default_factory=dict)
    spent: dict[str, Any] = field(
        default_factory=lambda: {"spent_usd_micros": {"N": "9" * 9}, "spent_tokens": {"N": "9" * 9}}
    )

    def get_item(self, *, TableName: str, ConsistentRead: bool, **_: object) -> dict[str, Any]:
        self.calls[f"{TableName} read {'' if ConsistentRead else 'half '}unit"] += 1
        return {}

    def put_item(self, *, TableName: str, Item: Mapping[str, Any], **_: object) -> dict[str, Any]:
        self._write(TableName, Item)
        return {}

    def update_item(self, *, TableName: str, Key: Mapping[str, Any], **_: object) -> dict[str, Any]:
        self._write(TableName, {**Key, **self.spent, "expire_at": {"N": "1" * 10}})
        return {"Attributes": self.spent}

    def _write(self, table: str, item: Mapping[str, Any]) -> None:
        self.calls[f"{table} write"] += 1
        self.largest[table] = max(self.largest.get(table, 0), size_bytes(item))


def size_bytes(item: Mapping[str, Any]) -> int:
    """Return what DynamoDB charges for at most: names, texts, and 21 bytes for a number."""
    values = (next(iter(value.items())) for value in item.values())
    sizes = (len(str(value).encode()) if kind == "S" else 21 for kind, value in values)
    return sum(len(name) for name in item) + sum(sizes)


def with_tables(client: Any) -> World:
    """Return a router whose stores are the deployed ones."""
    world = small_world()
    service = world.service
    service.decider.sessions.store = DynamoSessionStore("sessions", client, ttl_seconds=60)
    champion = service.decider.releases.live.champion
    assert champion is not None
    champion.cache = DynamoPredictionCache("predictions", client, ttl_seconds=60)
    decisions = DynamoDecisionStore("decisions", client, ttl_seconds=60)
    changed = replace(
        service,
        budgets=Budgets(DynamoBudgetStore("keys", client), world.telemetry),
        recorder=replace(service.recorder, decisions=decisions),
    )
    return replace(world, service=changed)


@pytest.mark.parametrize("answered", [True, False])
@pytest.mark.parametrize("continued", [True, False])
def test_the_classifier_asks_of_its_tables_what_the_simulation_counts(
    answered: bool, continued: bool
) -> None:
    client = CountingTables()
    world = with_tables(client)
    request = ask(budget=Budget(usd_micros=10**9), session_id="one" if continued else None)
    if answered:
        fold(world.service.answer(request, world.deadline()))
    else:
        world.service.decide(request, world.deadline())
    expected: Counter[str] = Counter()
    for table in Requests(
        answered=answered, continued_share=float(continued), new_query_share=1.0
    ).tables:
        unit = "unit" if table.units_a_read == 1 else "half unit"
        expected[f"{table.name} read {unit}"] = int(table.reads)
        expected[f"{table.name} write"] = int(table.writes)
    assert client.calls == +expected
    # A write takes one unit as long as its item is within 1 KB.
    assert max(client.largest.values()) <= UNIT_BYTES


def test_a_prediction_of_the_catalogs_candidates_is_one_unit_to_write() -> None:
    names = [model.name for model in MODELS]
    numbers = {name: float(np.float32(1 / 3)) * 1000 for name in names}
    prediction = Prediction(11, 0.1 + 0.2, numbers, numbers, numbers, numbers)
    item = {
        "query_hash": {"S": "d" * 64},
        "prediction": {"S": json.dumps(asdict(prediction))},
        "expire_at": {"N": "1" * 10},
    }
    assert size_bytes(item) <= UNIT_BYTES
