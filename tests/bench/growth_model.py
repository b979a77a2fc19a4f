"""A deployment under load, request by request: the simulation behind GROWTH.md.

A request passes the gateway, takes an instance of the function for itself, sets its price aside,
and asks the models in the router's order until one has tokens left. Every quota is a token bucket
that is full at the start. A request asks for all it needs at the moment it arrives.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from regroup.domain.fallback import REST_SECONDS
from tests.bench.growth_load import Measured, Quotas, Requests, Trace

LEAST_HELD_SECONDS = 0.1
"""An instance serves at most ten requests a second, however short they are."""


class End(IntEnum):
    """How a request ended."""

    ROUTED = 0
    """By the router's first choice."""
    FALLBACK = 1
    """By another model."""
    NO_TOKENS = 2
    """No model had tokens left."""
    GATEWAY = 3
    CONCURRENCY = 4
    SCALING = 5


LIMITS = {
    End.GATEWAY: "API Gateway, requests/s",
    End.CONCURRENCY: "Lambda, concurrency",
    End.SCALING: "Lambda, new instances",
}
BUDGETS = "DynamoDB, budgets"


@dataclass(slots=True)
class Bucket:
    """A token bucket, full at the start."""

    per_second: float
    most: float
    left: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.most

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take an amount if it is there."""
        self.left = min(self.most, self.left + (now - self.at) * self.per_second)
        self.at = now
        if self.left < amount:
            return False
        self.left -= amount
        return True

    def give(self, amount: float) -> None:
        """Give back; a negative amount is taken even where that leaves a debt."""
        self.left = min(self.most, self.left + amount)


class Visit(NamedTuple):
    """A request that has an instance; visits are ordered by when they end."""

    ends_at: float
    instance: int
    model: int | None
    """Who answers; None: nobody."""
    answer_seconds: float
    busiest: bool
    settles: bool
    """Whether the key's budget is written once more at the end."""


class Fleet:
    """Lambda: the instances of one function, and what limits them."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas
        self._growth = Bucket(quotas.new_instances_per_second, quotas.new_instances_at_once)
        self._busy: list[Visit] = []
        # Since when each is idle; the one that was busy last serves next.
        self._idle = deque((0.0, instance) for instance in range(int(quotas.provisioned)))
        self.cold_starts = 0
        self.most_busy = 0

    def take(self, now: float) -> tuple[int, bool] | End:
        """Return an instance and whether it has to start, or the limit that forbids one."""
        while self._idle and self._idle[0][0] < now - self._quotas.kept_seconds:
            if len(self._idle) + len(self._busy) <= self._quotas.provisioned:
                break
            self._idle.popleft()
        if self._idle:
            return self._idle.pop()[1], False
        if len(self._busy) >= self._quotas.instances:
            return End.CONCURRENCY
        if not self._growth.take(now):
            return End.SCALING
        self.cold_starts += 1
        return int(self._quotas.provisioned) + self.cold_starts - 1, True

    def serve(self, visit: Visit) -> None:
        """Keep an instance busy."""
        heappush(self._busy, visit)
        self.most_busy = max(self.most_busy, len(self._busy))

    def release(self, now: float) -> Visit | None:
        """Free the instance whose visit ended first, if any has ended."""
        if not self._busy or self._busy[0].ends_at > now:
            return None
        visit = heappop(self._busy)
        self._idle.append((visit.ends_at, visit.instance))
        return visit


class Budgets:
    """DynamoDB: the table of keys, and in it the one item that counts what the busiest key spends.

    A request reads its key's counter and adds to it twice. One that cannot read or add is left to
    the cheapest model, as with `BUDGET_WHEN_UNKNOWN=cheapest`.
    """

    def __init__(self, quotas: Quotas, requests: Requests) -> None:
        self._reads = _per_second(quotas.table_reads), _per_second(quotas.item_reads)
        self._writes = _per_second(quotas.table_writes), _per_second(quotas.item_writes)
        self._holds = requests.answered
        self.unknown = 0
        self.lost_settlements = 0

    def hold(self, now: float, busiest: bool) -> bool:
        """Read what was spent and set the price aside; tell whether both were possible."""
        known = _take(self._reads, now, busiest)
        if known and self._holds:
            known = _take(self._writes, now, busiest)
        self.unknown += not known
        return known

    def settle(self, visit: Visit) -> None:
        """Write what was really spent."""
        if visit.settles and not _take(self._writes, visit.ends_at, visit.busiest):
            self.lost_settlements += 1


class Models:
    """Bedrock: each model's tokens, and which models each instance lets rest."""

    def __init__(self, quotas: Quotas, requests: Requests) -> None:
        everyone = range(len(quotas.models))
        self._models, self._requests = quotas.models, requests
        per_minute = [model.tokens_per_minute for model in quotas.models]
        self._tokens = [Bucket(tokens / 60, tokens) for tokens in per_minute]
        self._orders = [(first, *(m for m in everyone if m != first)) for first in everyone]
        self._rests: dict[int, list[float]] = {}
        self._set_aside = requests.input_tokens + requests.max_tokens
        self.first_refusals: dict[int, float] = {}

    def ask(self, now: float, instance: int, wanted: int | None) -> tuple[int | None, int]:
        """Return who answers, if anyone, and how many refused; None wants the cheapest only."""
        order = (0,) if wanted is None else self._orders[wanted]
        if not self._requests.answered:
            return order[0], 0
        rests = self._rests.setdefault(instance, [0.0] * len(self._tokens))
        # As in `policy.choose`: whoever rests is asked after all others.
        ranking = sorted(order, key=lambda model: rests[model] > now)
        for refusals, model in enumerate(ranking):
            if self._tokens[model].take(now, self._set_aside):
                rests[model] = 0.0
                return model, refusals
            self.first_refusals.setdefault(model, now)
            rests[model] = now + REST_SECONDS
        return None, len(ranking)

    def settle(self, visit: Visit) -> None:
        """Count what an answer used in place of what was set aside for it."""
        if visit.model is not None and self._requests.answered:
            model = self._models[visit.model]
            used = model.tokens_taken(self._requests, visit.answer_seconds)
            self._tokens[visit.model].give(self._set_aside - used)


class Deployment:
    """All of them; after `run` the counters are the result."""

    def __init__(self, quotas: Quotas, requests: Requests, measured: Measured) -> None:
        self._quotas, self._requests = quotas, requests
        self._gateway = Bucket(quotas.gateway_per_second, quotas.gateway_bucket)
        self._start_seconds = measured.cold_start + requests.environment_seconds
        self._firsts: dict[str, float] = {}
        self.fleet = Fleet(quotas)
        self.budgets = Budgets(quotas, requests)
        self.models = Models(quotas, requests)
        self.ends: list[End] = []
        self.own_seconds: list[float] = []
        """The router's part of every request that got an instance."""

    def run(self, trace: Trace) -> None:
        """Serve every request of a trace."""
        times = (trace.at, trace.decision_seconds, trace.answer_seconds)
        chance = (trace.wanted, trace.busiest)
        for request in zip(*(column.tolist() for column in (*times, *chance)), strict=True):
            end = self._serve(*request)
            self.ends.append(end)
            if end in LIMITS:
                self._firsts.setdefault(LIMITS[end], request[0])

    def first_limit(self) -> tuple[str, float] | None:
        """Return which limit refused something first, and when."""
        models = self._quotas.models
        tokens = {
            f"Bedrock, tokens of {models[model].name}": at
            for model, at in self.models.first_refusals.items()
        }
        return min((self._firsts | tokens).items(), key=lambda item: item[1], default=None)

    def _serve(self, now: float, decision: float, answer: float, wanted: int, busiest: bool) -> End:
        while (ended := self.fleet.release(now)) is not None:
            self.budgets.settle(ended)
            self.models.settle(ended)
        if not self._gateway.take(now):
            return End.GATEWAY
        taken = self.fleet.take(now)
        if isinstance(taken, End):
            return taken
        instance, starts = taken
        own = decision + self._requests.table_seconds + starts * self._start_seconds
        known = self.budgets.hold(now, busiest)
        if not known:
            self._firsts.setdefault(BUDGETS, now)
        model, refusals = self.models.ask(now, instance, wanted if known else None)
        held = own + refusals * self._requests.refusal_seconds + answer * (model is not None)
        ends_at = now + max(held, LEAST_HELD_SECONDS)
        settles = self._requests.answered and (known or model is not None)
        self.fleet.serve(Visit(ends_at, instance, model, answer, busiest, settles))
        self.own_seconds.append(own)
        if model is None:
            return End.NO_TOKENS
        return End.ROUTED if model == wanted else End.FALLBACK


def _per_second(units: float) -> Bucket:
    return Bucket(units, units)


def _take(table_and_item: tuple[Bucket, Bucket], now: float, busiest: bool) -> bool:
    """Take a unit of the table and, for the busiest key, of its one item."""
    table, item = table_and_item
    return (not busiest or item.take(now)) and table.take(now)
