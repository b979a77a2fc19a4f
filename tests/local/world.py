"""A small router with fakes all around it, and what tests ask of it.

world = small_world()
world.chat_model.plan("large", [UpstreamThrottledError("large")])
world.service.answer(ask("hello"), world.deadline())
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import log
from typing import Any

import numpy as np

from classifier.ask import Ask, Rules
from classifier.budgets import Budgets, WhenUnknown
from classifier.caller import Caller
from classifier.decider import Decider
from classifier.feedback import FeedbackService
from classifier.http import Api, Request, Response
from classifier.predictor import Predictor
from classifier.record import Recorder
from classifier.releases import Live, Releases
from classifier.service import RouteService
from classifier.sessions import Sessions
from regroup.artifact import EncoderRecord, Manifest, Preset, Verdict
from regroup.domain.catalog import Candidate, Capabilities, Catalog, Prices
from regroup.domain.chat import ChatRequest, fold, said
from regroup.domain.decision import Decision
from regroup.domain.fallback import Cooldowns, Deadline
from regroup.domain.pointer import Mode
from regroup.domain.prediction import Heads
from regroup.domain.query import BUILDER_VERSION
from regroup.errors import (
    UpstreamUnavailableError,
)
from regroup.ports import Clock
from tests.local.fakes import (
    FakeBudgets,
    FakeCache,
    FakeChatModel,
    FakeClock,
    FakeDecisions,
    FakeEncoder,
    FakeQueue,
    FakeSessions,
    RecordingTelemetry,
    Step,
)

REWARDS = {"small": 0.5, "medium": 0.7, "large": 0.9}
DEFAULT = "medium"
COST_WEIGHTS = {"quality": 0.0, "balanced": 300.0, "economy": 10_000.0}
"""What makes the presets choose large, medium and small."""
DIGEST = "d" * 64
DAY_SECONDS = 86_400.0


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
        query_builder=BUILDER_VERSION,
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
    sessions: FakeSessions
    decisions: FakeDecisions
    budgets: FakeBudgets

    def deadline(self, seconds: float = 28.0) -> Deadline:
        """Return the moment that many seconds from now."""
        return Deadline(self.clock.monotonic + seconds)

    @property
    def api(self) -> Api:
        """The service behind its routes."""
        clock = self.service.clock
        feedback = FeedbackService(self.decisions, self.queue, self.telemetry, clock)
        return Api(self.service, feedback)

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

    def decide(self, request: Ask) -> Decision:
        """Decide one request without asking anyone."""
        return self.service.decide(request, self.deadline())

    @property
    def line(self) -> dict[str, Any]:
        """The one line that was written."""
        assert len(self.telemetry.lines) == 1, self.telemetry.lines
        return self.telemetry.lines[0]

    def challenge(self, challenger: Predictor, *, mode: Mode, share: float = 0.0) -> None:
        """Let another version run beside the live one."""
        releases = self.service.decider.releases
        releases.live = replace(releases.live, challenger=challenger, mode=mode, share=share)


def small_world(
    *,
    catalog: Catalog | None = None,
    rewards: Mapping[str, float] | None = REWARDS,
    encoder: FakeEncoder | None = None,
    when_unknown: WhenUnknown = "cheapest",
    **rules: Any,
) -> World:
    """Return a router; `rewards=None` leaves it without an artifact."""
    clock, telemetry, queue, cache = FakeClock(), RecordingTelemetry(), FakeQueue(), FakeCache()
    sessions, decisions, budgets = FakeSessions(), FakeDecisions(), FakeBudgets()
    encoder = encoder or FakeEncoder()
    catalog = catalog or small_catalog()
    chat_model = FakeChatModel(clock)
    times = Clock(wall=lambda: clock.wall, monotonic=lambda: clock.monotonic)
    applied = Rules(**{"default_preset": "balanced", "default_candidate": DEFAULT, **rules})
    live = Live()
    if rewards is not None:
        predictor = small_predictor(
            telemetry=telemetry, encoder=encoder, cache=cache, rewards=rewards
        )
        live = Live(champion=predictor, since=clock.wall)
    cooldowns, memory, numbers = Cooldowns(), Sessions(sessions, telemetry, DAY_SECONDS), count()
    decider = Decider(
        catalog=catalog,
        releases=Releases(
            None, telemetry, times.wall, times.monotonic, lambda check: check(), live=live
        ),
        sessions=memory,
        cooldowns=cooldowns,
        telemetry=telemetry,
        clock=times,
        new_id=lambda: f"id-{next(numbers)}",
        rules=applied,
    )
    service = RouteService(
        decider=decider,
        caller=Caller(catalog, chat_model, cooldowns, telemetry, times),
        budgets=Budgets(budgets, telemetry, when_unknown),
        recorder=Recorder(catalog, memory, decisions, queue, telemetry, times, applied.sample_rate),
        telemetry=telemetry,
        clock=times,
        rules=applied,
    )
    return World(
        service, clock, chat_model, telemetry, queue, cache, encoder, sessions, decisions, budgets
    )


def ask(text: str = "hello", **changes: Any) -> Ask:
    """Return a request with one user turn."""
    return replace(Ask(ChatRequest((said("user", text),)), key_id="key-1"), **changes)


def chat_body(text: str = "hello", /, **fields: object) -> dict[str, object]:
    """Return the body of a request with one user message."""
    return {"messages": [{"role": "user", "content": text}], **fields}


QUALITY_ORDER = ["large", "medium", "small"]
"""The ranking of the preset quality, by predicted reward alone."""
EVERYONE_FAILS: dict[str, list[Step]] = {
    name: [UpstreamUnavailableError("down")] for name in REWARDS
}


def answer(world: World, *, seconds: float = 28.0, **changes: Any) -> str:
    """Ask with the preset quality unless told otherwise, read the whole answer, name its author."""
    request = ask(**{"preset": "quality", **changes})
    stream = world.service.answer(request, world.deadline(seconds))
    assert fold(stream).text == "Good day."
    return stream.candidate


def plan(world: World, plans: dict[str, list[Step]]) -> None:
    for name, steps in plans.items():
        world.chat_model.plan(name, steps)
