"""What is done before a snapshot is taken and after it is restored."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest

from classifier.releases import Releases, Source
from classifier.snapshot import RESTORE_SECONDS, Snapshot, register
from regroup.domain.pointer import Pointer
from regroup.errors import RegroupError, StoreError
from tests.local.fakes import FakeClock, RecordingTelemetry
from tests.local.world import DIGEST, small_predictor

RUNTIME_SECONDS = 10.0
runtime: Any = import_module("snapshot_restore_py")


@dataclass(slots=True)
class Noted:
    """An application that notes what the hooks ask of it."""

    acts: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            prepare=lambda: self.acts.append("prepare"),
            disconnect=lambda: self.acts.append("disconnect"),
            follow=self.follow,
        )

    def follow(self, seconds: float) -> None:
        self.acts.append("follow")
        self.waits.append(seconds)


@pytest.fixture
def hooks() -> Iterator[None]:
    """Leave the runtime's hooks, which belong to the process, as they were."""
    lists = (runtime.get_before_snapshot(), runtime.get_after_restore())
    were = [list(one) for one in lists]
    yield
    for one, was in zip(lists, were, strict=True):
        one[:] = was


def test_before_a_snapshot_all_is_built_and_after_it_dead_connections_go_first() -> None:
    noted = Noted()
    noted.snapshot.before()
    assert noted.acts == ["prepare"]
    noted.snapshot.after()
    assert noted.acts == ["prepare", "disconnect", "follow"]


def test_a_restore_is_done_well_before_lambda_gives_it_up() -> None:
    noted = Noted()
    noted.snapshot.after()
    assert noted.waits == [RESTORE_SECONDS]
    assert RESTORE_SECONDS < RUNTIME_SECONDS - 2


def test_chance_is_not_the_same_in_every_restored_copy() -> None:
    frozen = random.getstate()
    drawn = []
    for _ in range(3):
        random.setstate(frozen)
        Noted().snapshot.after()
        drawn.append(random.random())
    assert len(set(drawn)) == 3


@pytest.mark.usefixtures("hooks")
def test_the_runtime_is_told_of_both_hooks() -> None:
    noted = Noted()
    register(noted.snapshot)
    for calls in (runtime.get_before_snapshot(), runtime.get_after_restore()):
        call, arguments, named = calls[-1]
        call(*arguments, **named)
    assert noted.acts == ["prepare", "disconnect", "follow"]


def test_outside_lambda_there_is_nothing_to_tell() -> None:
    register(Noted().snapshot, runtime="no_such_runtime")


@pytest.mark.parametrize(
    ("found", "expected", "lost"),
    [(StoreError("S3 is slow"), DIGEST, 1), (Pointer("2" * 64), "2" * 64, 0)],
)
def test_a_restore_decides_by_what_the_pointer_names_or_by_what_was_frozen_where_s3_fails(
    found: RegroupError | Pointer, expected: str, lost: int
) -> None:
    clock, telemetry, answers = FakeClock(), RecordingTelemetry(), [Pointer(DIGEST), found]

    def read() -> tuple[str, Pointer]:
        answer = answers.pop(0)
        if isinstance(answer, RegroupError):
            raise answer
        return answer.champion, answer

    releases = Releases(
        Source(read, lambda digest, _in_haste: replace(small_predictor(), digest=digest)),
        telemetry,
        wall=lambda: clock.wall,
        monotonic=lambda: clock.monotonic,
        run=lambda check: check(),
    )
    releases.start()

    Snapshot(lambda: None, lambda: None, releases.resume).after()

    live = releases.current().champion
    assert live is not None
    assert live.digest == expected
    assert telemetry.counts["PointerNotFollowed"] == lost
