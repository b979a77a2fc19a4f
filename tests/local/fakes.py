"""Fakes of everything the classifier asks of the world, and a small router built from them.

world = small_world()
world.chat_model.plan("large", [UpstreamThrottledError("large")])
world.service.answer(ask("hello"), world.deadline(20))
"""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from math import log
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from classifier.http import Api, Request, Response
from classifier.predictor import Predictor
from classifier.service import Ask, RouteService, Rules
from regroup.artifact import EncoderRecord, Manifest, Preset, Verdict
from regroup.domain.catalog import Candidate, Capabilities, Catalog, Prices
from regroup.domain.chat import ChatEvent, ChatRequest, Metered, Stop, TextDelta, Usage, said
from regroup.domain.fallback import Deadline
from regroup.domain.prediction import Heads, Prediction
from regroup.errors import (
    ArtifactNotFoundError,
    PointerConflictError,
    StoreError,
)
from regroup.ports import Clock, Stored

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties of whole requests: a busy machine makes none of them wrong."""

USAGE = Usage(input=10, output=20, cache_read=3, cache_write=4)
ANSWER: tuple[ChatEvent, ...] = (
    TextDelta("Good "),
    TextDelta("day."),
    Stop("stop"),
    Metered(USAGE),
)
REWARDS = {"small": 0.5, "medium": 0.7, "large": 0.9}
DEFAULT = "medium"
COST_WEIGHTS = {"quality": 0.0, "balanced": 300.0, "economy": 10_000.0}
"""What makes the presets choose large, medium and small."""
DIGEST = "d" * 64


@dataclass(frozen=True, slots=True)
class Wait:
    """A step of a plan: the time that passes before the next one."""

    seconds: float


type Step = ChatEvent | Exception | Wait


@dataclass(slots=True)
class FakeClock:
    """Two clocks that stand still until told."""

    wall: float = 1_790_000_000.0
    monotonic: float = 1_000.0

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += seconds
        self.monotonic += seconds


@dataclass(slots=True)
class FakeEncoder:
    """Gives every text the same embedding and keeps the texts it was given."""

    embedding: NDArray[np.float32] = field(default_factory=lambda: np.array([1, 0], np.float32))
    texts: list[str] = field(default_factory=list)

    def encode(self, text: str) -> NDArray[np.float32]:
        """Note the text."""
        self.texts.append(text)
        return self.embedding


@dataclass(frozen=True, slots=True)
class Call:
    """What a candidate was asked."""

    candidate: str
    request: ChatRequest
    timeout_seconds: float


@dataclass(slots=True)
class FakeChatModel:
    """Answers by plan, one plan per attempt; without one with `ANSWER`."""

    clock: FakeClock
    calls: list[Call] = field(default_factory=list)
    plans: dict[str, list[Sequence[Step]]] = field(default_factory=dict)

    def plan(self, candidate: str, *attempts: Sequence[Step]) -> None:
        """Say how the next attempts of a candidate go."""
        self.plans.setdefault(candidate, []).extend(attempts)

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        """Follow the plan."""
        self.calls.append(Call(candidate.name, request, timeout_seconds))
        plans = self.plans.get(candidate.name)
        for step in plans.pop(0) if plans else ANSWER:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Wait):
                self.clock.advance(step.seconds)
            else:
                yield step

    @property
    def asked(self) -> list[str]:
        """The candidates in the order they were asked."""
        return [call.candidate for call in self.calls]


@dataclass(slots=True)
class RecordingTelemetry:
    """Keeps lines and counts."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def event(self, line: Mapping[str, object]) -> None:
        """Keep a line as it would be read back; NaN and infinity are no JSON."""
        self.lines.append(_through_json(line))

    def count(self, metric: str, value: float = 1, *, unit: str = "Count") -> None:
        """Add up."""
        assert unit == "Count"
        self.counts[metric] += int(value)


@dataclass(slots=True)
class FakeCache:
    """A table in memory, which may be told to fail."""

    items: dict[str, Prediction] = field(default_factory=dict)
    read_fails: bool = False
    write_fails: bool = False
    reads: list[tuple[str, float]] = field(default_factory=list)
    writes: list[tuple[str, float]] = field(default_factory=list)

    def get(self, query_hash: str, now: float) -> Prediction | None:
        """Return what was put."""
        self.reads.append((query_hash, now))
        if self.read_fails:
            raise StoreError("the fake cache cannot be read")
        return self.items.get(query_hash)

    def put(self, query_hash: str, prediction: Prediction, now: float) -> None:
        """Keep it."""
        self.writes.append((query_hash, now))
        if self.write_fails:
            raise StoreError("the fake cache cannot be written")
        self.items[query_hash] = prediction


@dataclass(slots=True)
class FakeQueue:
    """Keeps messages as they would arrive, and may be told to fail."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    fails: bool = False

    def send(self, message: Mapping[str, object]) -> None:
        """Take one message."""
        if self.fails:
            raise StoreError("the fake queue takes nothing")
        self.messages.append(_through_json(message))


@dataclass(slots=True)
class MemoryStore:
    """Objects in memory, created once each whoever comes first; may be told to fail."""

    objects: dict[str, bytes] = field(default_factory=dict)
    fails_on: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, key: str) -> Stored:
        """Return an object and its digest."""
        if key not in self.objects:
            raise ArtifactNotFoundError(key)
        content = self.objects[key]
        return Stored(content, sha256(content).hexdigest())

    def replace(self, key: str, content: bytes, *, tag: str | None) -> None:
        """Write an object if it still has that digest."""
        with self._lock:
            found = self.read(key).tag if key in self.objects else None
            if found != tag:
                raise PointerConflictError(key)
            self.objects[key] = content

    def create(self, key: str, content: bytes) -> bool:
        """Write an object unless one is there."""
        if self.fails_on is not None and self.fails_on in key:
            raise StoreError("the fake store takes nothing")
        with self._lock:
            if key in self.objects:
                return False
            self.objects[key] = content
            return True


def small_catalog() -> Catalog:
    """Return three candidates, each dearer and with a longer context than the one before."""
    small = Candidate(
        name="small",
        family="test",
        model_id="test.small",
        region="ap-northeast-1",
        prices=Prices(1.0, 1.0),
        context_tokens=1_000,
        max_output_tokens=500,
        tokens_per_char={"latin": 0.25, "cjk": 1.0, "other": 1.0},
        capabilities=Capabilities(),
        residency="jp",
    )
    medium = replace(small, name="medium", prices=Prices(4.0, 4.0), context_tokens=10_000)
    large = replace(small, name="large", prices=Prices(20.0, 20.0), context_tokens=100_000)
    return Catalog({one.name: one for one in (small, medium, large)})


def small_heads(
    rewards: Mapping[str, float] = REWARDS, *, output_tokens: float = 100.0, dims: int = 2
) -> Heads:
    """Return heads of one cluster that predict these rewards for any embedding."""
    names = tuple(rewards)
    nothing = np.zeros((1, len(names), dims), np.float32)
    return Heads(
        candidates=names,
        centroids=np.zeros((1, dims), np.float32),
        weights=nothing,
        bias=np.array([list(rewards.values())], np.float32),
        token_weights=nothing,
        token_bias=np.full((1, len(names)), log(output_tokens), np.float32),
    )


def small_manifest(candidates: Sequence[str], *, default: str = DEFAULT) -> Manifest:
    """Return a manifest with the three presets and no margin."""
    return Manifest(
        parts={},
        candidates=tuple(candidates),
        encoder=EncoderRecord("fake", "mean", "", 256, 2, ""),
        query_builder=1,
        n_clusters=1,
        silhouette=0.0,
        clusters=(),
        data_sha256="",
        router="ridge",
        verdict=Verdict(True, "It pays.", 0.1, 0.05, 0.15),
        default_candidate=default,
        min_margin=0.0,
        presets={name: Preset(weight) for name, weight in COST_WEIGHTS.items()},
    )


def small_predictor(
    *,
    telemetry: RecordingTelemetry | None = None,
    encoder: FakeEncoder | None = None,
    cache: FakeCache | None = None,
    rewards: Mapping[str, float] = REWARDS,
) -> Predictor:
    """Return a predictor whose rewards do not depend on the text."""
    heads = small_heads(rewards)
    return Predictor(
        digest=DIGEST,
        manifest=small_manifest(heads.candidates),
        heads=heads,
        encoder=encoder or FakeEncoder(),
        telemetry=telemetry or RecordingTelemetry(),
        cache=cache,
    )


@dataclass(frozen=True, slots=True)
class World:
    """A router and all the fakes around it."""

    service: RouteService
    clock: FakeClock
    chat_model: FakeChatModel
    telemetry: RecordingTelemetry
    queue: FakeQueue
    cache: FakeCache
    encoder: FakeEncoder

    def deadline(self, seconds: float = 28.0) -> Deadline:
        """Return the moment that many seconds from now."""
        return Deadline(self.clock.monotonic + seconds)

    @property
    def api(self) -> Api:
        """The service behind its routes."""
        return Api(self.service)

    def handle(
        self,
        body: object = None,
        *,
        method: str = "POST",
        path: str = "/v1/chat/completions",
        key_id: str | None = None,
    ) -> Response:
        """Send one request; a body that is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.api.handle(Request(method, path, content, self.deadline(), key_id))

    @property
    def line(self) -> dict[str, Any]:
        """The one line that was written."""
        assert len(self.telemetry.lines) == 1, self.telemetry.lines
        return self.telemetry.lines[0]


def small_world(
    *,
    catalog: Catalog | None = None,
    rewards: Mapping[str, float] | None = REWARDS,
    encoder: FakeEncoder | None = None,
    sample_rate: float = 0.0,
    explore_share: float = 0.0,
    default_candidate: str = DEFAULT,
) -> World:
    """Return a router; `rewards=None` leaves it without an artifact."""
    clock, telemetry, queue, cache = FakeClock(), RecordingTelemetry(), FakeQueue(), FakeCache()
    encoder = encoder or FakeEncoder()
    chat_model = FakeChatModel(clock)
    numbers = count()
    predictor = None
    if rewards is not None:
        predictor = small_predictor(
            telemetry=telemetry, encoder=encoder, cache=cache, rewards=rewards
        )
    service = RouteService(
        catalog=catalog or small_catalog(),
        predictor=predictor,
        chat_model=chat_model,
        queue=queue,
        telemetry=telemetry,
        clock=Clock(wall=lambda: clock.wall, monotonic=lambda: clock.monotonic),
        new_id=lambda: f"id-{next(numbers)}",
        rules=Rules("balanced", default_candidate, explore_share, sample_rate),
    )
    return World(service, clock, chat_model, telemetry, queue, cache, encoder)


def ask(text: str = "hello", **changes: Any) -> Ask:  # noqa: ANN401 - any field of Ask
    """Return a request with one user turn."""
    return replace(Ask(ChatRequest((said("user", text),)), key_id="key-1"), **changes)


def chat_body(text: str = "hello", /, **fields: object) -> dict[str, object]:
    """Return the body of a request with one user message."""
    return {"messages": [{"role": "user", "content": text}], **fields}


def _through_json(fields: Mapping[str, object]) -> dict[str, Any]:
    """Return what a reader gets; fails on what JSON in UTF-8 cannot hold."""
    read: dict[str, Any] = json.loads(
        json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
    )
    return read
