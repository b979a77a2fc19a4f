"""The live router follows the pointer, and only to what holds."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from classifier.predictor import Predictor
from classifier.releases import Live, Releases, Source
from regroup.domain.pointer import Mode, Pointer
from regroup.errors import (
    ArtifactCorruptError,
    ArtifactIncompatibleError,
    ArtifactNotFoundError,
    ConfigurationError,
    RegroupError,
    StoreError,
)
from tests.local.fakes import FakeClock, RecordingTelemetry
from tests.local.world import small_predictor

CHECK_SECONDS = 30.0
ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


@dataclass(slots=True)
class Shelf:
    """A pointer and artifacts that can be changed, and the releases that follow them."""

    pointer: Pointer | RegroupError = field(default_factory=lambda: Pointer(ONE))
    broken: dict[str, RegroupError] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    haste: list[bool] = field(default_factory=list)
    odd: bool = False
    """Whether loading fails by an error that nobody thought of."""
    reads: int = 0
    tag: int = 0
    waiting: list[Callable[[], None]] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    telemetry: RecordingTelemetry = field(default_factory=RecordingTelemetry)

    def read(self) -> tuple[str, Pointer]:
        self.reads += 1
        if isinstance(self.pointer, RegroupError):
            raise self.pointer
        return str(self.tag), self.pointer

    def load(self, digest: str, in_haste: bool) -> Predictor:
        self.loads.append(digest)
        self.haste.append(in_haste)
        if self.odd:
            raise ZeroDivisionError
        if digest in self.broken:
            raise self.broken[digest]
        return replace(small_predictor(), digest=digest)

    def point(self, pointer: Pointer | RegroupError) -> None:
        """Move the pointer, and let the next check be due."""
        self.pointer = pointer
        self.tag += 1
        self.clock.advance(CHECK_SECONDS)

    def releases(self, *, at_once: bool = True) -> Releases:
        return Releases(
            Source(self.read, self.load),
            self.telemetry,
            wall=lambda: self.clock.wall,
            monotonic=lambda: self.clock.monotonic,
            run=(lambda check: check()) if at_once else self.waiting.append,
        )


def started(shelf: Shelf, *, at_once: bool = True) -> Releases:
    releases = shelf.releases(at_once=at_once)
    releases.start()
    return releases


def champion(live: Live) -> str | None:
    return live.champion.digest if live.champion else None


def test_the_pointer_is_looked_at_no_more_often_than_every_thirty_seconds() -> None:
    shelf = Shelf()
    releases = started(shelf)
    for _ in range(1_000):
        releases.current()
        shelf.clock.advance(0.1)
    assert shelf.reads == 1 + 3
    # It never moved, so nothing was loaded again.
    assert shelf.loads == [ONE]


def test_a_new_version_takes_over_within_thirty_seconds() -> None:
    shelf = Shelf()
    releases = started(shelf)
    born = shelf.clock.wall
    shelf.point(Pointer(TWO))

    releases.current()

    assert champion(releases.live) == TWO
    assert releases.live.since == born + CHECK_SECONDS
    # At the start somebody waits, and only the short golden texts are tried.
    assert shelf.haste == [True, False]
    assert not releases.is_degraded


def test_no_request_waits_for_a_version_to_load() -> None:
    shelf = Shelf()
    releases = started(shelf, at_once=False)
    shelf.point(Pointer(TWO))

    assert champion(releases.current()) == ONE
    # One check at a time, however many requests come meanwhile.
    shelf.clock.advance(10 * CHECK_SECONDS)
    releases.current()
    (check,) = shelf.waiting
    assert shelf.loads == [ONE]
    check()
    assert champion(releases.current()) == TWO


@pytest.mark.parametrize(
    "error",
    [
        ArtifactCorruptError("flipped"),
        ArtifactIncompatibleError("golden texts"),
        ArtifactNotFoundError("gone"),
    ],
)
def test_a_broken_version_is_refused_once_and_the_live_one_stays(error: RegroupError) -> None:
    shelf = Shelf(broken={TWO: error})
    releases = started(shelf)
    before = releases.live
    shelf.point(Pointer(TWO))

    for _ in range(5):
        releases.current()
        shelf.clock.advance(CHECK_SECONDS)

    assert releases.live.champion is before.champion
    assert releases.live.since == before.since
    assert (releases.is_degraded, shelf.telemetry.counts["ArtifactRejected"]) == (True, 1)
    assert shelf.loads == [ONE, TWO]
    # The next move of the pointer is followed again.
    shelf.point(Pointer(THREE))
    releases.current()
    assert (champion(releases.live), releases.is_degraded) == (THREE, False)


def test_a_rollback_loads_the_version_before() -> None:
    shelf = Shelf()
    releases = started(shelf)
    for digest in (TWO, ONE):
        shelf.point(Pointer(digest))
        releases.current()
    assert champion(releases.live) == ONE
    assert shelf.loads == [ONE, TWO, ONE]


@pytest.mark.parametrize("error", [StoreError("slow"), ConfigurationError("N_CLUSTERS")])
def test_a_store_that_fails_is_asked_again_at_the_next_check(error: RegroupError) -> None:
    shelf = Shelf(broken={TWO: error})
    releases = started(shelf)
    shelf.point(Pointer(TWO))
    releases.current()
    assert champion(releases.live) == ONE
    assert shelf.telemetry.counts["PointerNotFollowed"] == 1
    shelf.broken.clear()

    shelf.clock.advance(CHECK_SECONDS)
    releases.current()

    assert champion(releases.live) == TWO


@pytest.mark.parametrize(
    ("pointer", "degraded"),
    [(ArtifactNotFoundError("none"), False), (ArtifactCorruptError("alien"), True)],
)
def test_a_pointer_that_is_gone_or_alien_takes_nothing_away(
    pointer: RegroupError, degraded: bool
) -> None:
    shelf = Shelf()
    releases = started(shelf)
    shelf.point(pointer)
    releases.current()
    assert (champion(releases.live), releases.is_degraded) == (ONE, degraded)


def test_on_day_zero_there_is_no_router_and_the_first_one_is_found() -> None:
    shelf = Shelf(pointer=ArtifactNotFoundError("none"))
    releases = started(shelf)
    assert (releases.live, releases.is_degraded) == (Live(), False)
    shelf.point(Pointer(ONE))
    releases.current()
    assert champion(releases.live) == ONE


@pytest.mark.parametrize("error", [StoreError("slow"), ConfigurationError("N_CLUSTERS")])
def test_at_the_start_what_cannot_be_known_stops_it(error: RegroupError) -> None:
    with pytest.raises(type(error)):
        started(Shelf(broken={ONE: error}))


@pytest.mark.parametrize(("mode", "share"), [("shadow", 0.0), ("canary", 0.1)])
def test_a_challenger_comes_and_becomes_champion_without_loading_twice(
    mode: Mode, share: float
) -> None:
    shelf = Shelf()
    releases = started(shelf)
    shelf.point(Pointer(ONE, challenger=TWO, share=share, mode=mode))
    live = releases.current() and releases.live
    assert live.challenger is not None
    assert (champion(live), live.challenger.digest) == (ONE, TWO)
    assert (live.mode, live.share) == (mode, share)

    shelf.point(Pointer(TWO, previous=ONE))
    releases.current()

    assert (champion(releases.live), releases.live.challenger) == (TWO, None)
    assert shelf.loads == [ONE, TWO]


def test_a_broken_challenger_leaves_the_champion_alone() -> None:
    shelf = Shelf(broken={TWO: ArtifactCorruptError("flipped")})
    releases = started(shelf)
    shelf.point(Pointer(ONE, challenger=TWO, share=1.0, mode="canary"))
    releases.current()
    assert (champion(releases.live), releases.live.challenger) == (ONE, None)
    assert (releases.live.mode, releases.is_degraded) == ("off", True)


def test_without_a_pointer_nothing_is_looked_at() -> None:
    releases = Releases(None, RecordingTelemetry(), lambda: 0.0, lambda: 0.0, lambda check: check())
    releases.start()
    assert releases.current() == Live()


def test_a_pointer_put_back_as_it_was_is_no_longer_degraded() -> None:
    shelf = Shelf()
    releases = started(shelf)
    good, tag = shelf.pointer, shelf.tag
    shelf.point(ArtifactCorruptError("alien"))
    releases.current()
    assert releases.is_degraded
    shelf.point(good)
    shelf.tag = tag  # the same bytes have the same tag
    releases.current()
    assert not releases.is_degraded


def test_a_version_that_contradicts_a_setting_shows_as_degraded() -> None:
    shelf = Shelf(broken={TWO: ConfigurationError("N_CLUSTERS")})
    releases = started(shelf)
    shelf.point(Pointer(TWO))
    releases.current()
    assert releases.is_degraded


def test_an_error_nobody_thought_of_is_counted_and_the_next_check_comes() -> None:
    shelf = Shelf()
    releases = started(shelf)
    shelf.point(Pointer(TWO))
    shelf.odd = True
    releases.current()
    assert (shelf.telemetry.counts["PointerNotFollowed"], releases.is_degraded) == (1, True)
    shelf.odd = False
    shelf.clock.advance(CHECK_SECONDS)
    releases.current()
    assert (champion(releases.live), releases.is_degraded) == (TWO, False)


def test_a_thread_that_cannot_be_started_costs_no_request() -> None:
    shelf = Shelf()
    releases = started(shelf)

    def refuse(_check: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    follow, releases.run = releases.run, refuse
    shelf.point(Pointer(TWO))
    assert champion(releases.current()) == ONE
    releases.run = follow
    shelf.clock.advance(CHECK_SECONDS)
    releases.current()
    assert champion(releases.live) == TWO


def test_a_champion_that_is_loaded_waits_for_its_challenger_without_loading_again() -> None:
    shelf = Shelf(broken={THREE: StoreError("slow")})
    releases = started(shelf)
    shelf.point(Pointer(TWO, challenger=THREE, mode="shadow"))
    releases.current()
    assert champion(releases.live) == ONE
    shelf.broken.clear()
    shelf.clock.advance(CHECK_SECONDS)
    releases.current()
    assert champion(releases.live) == TWO
    assert shelf.loads == [ONE, TWO, THREE, THREE]


# After a snapshot was restored


def test_after_a_restore_the_pointer_is_followed_before_the_first_request_and_in_haste() -> None:
    shelf = Shelf()
    releases = started(shelf)
    shelf.point(Pointer(TWO))

    releases.resume(0.0)

    assert champion(releases.live) == TWO
    assert shelf.haste == [True, True]
    # That was a check, so the next one is due in thirty seconds.
    releases.current()
    assert shelf.reads == 2


@pytest.mark.parametrize("error", [StoreError("slow"), ConfigurationError("N_CLUSTERS")])
def test_a_restore_that_cannot_follow_keeps_what_was_frozen_and_the_next_check_tries_again(
    error: RegroupError,
) -> None:
    shelf = Shelf(broken={TWO: error})
    releases = started(shelf)
    shelf.point(Pointer(TWO))

    releases.resume(0.0)

    assert champion(releases.live) == ONE
    assert shelf.telemetry.counts["PointerNotFollowed"] == 1
    shelf.broken.clear()
    shelf.clock.advance(CHECK_SECONDS)
    assert champion(releases.current() and releases.live) == TWO


def test_a_restore_does_not_wait_for_a_store_that_hangs() -> None:
    shelf = Shelf()
    releases = started(shelf, at_once=False)
    shelf.point(Pointer(TWO))

    releases.resume(0.0)

    assert champion(releases.current()) == ONE
    assert shelf.telemetry.counts["PointerNotFollowed"] == 1
    # The check goes on beside the requests, and no second one is begun meanwhile.
    (check,) = shelf.waiting
    check()
    assert champion(releases.live) == TWO


def test_a_restore_looks_again_whatever_its_clock_says_and_though_a_check_was_frozen() -> None:
    shelf = Shelf()
    releases = started(shelf, at_once=False)
    shelf.point(Pointer(TWO))
    releases.current()
    shelf.clock.monotonic = 1.0  # long before the last check

    releases.resume(0.0)

    assert len(shelf.waiting) == 2
    shelf.waiting[1]()
    assert champion(releases.live) == TWO
    shelf.clock.advance(CHECK_SECONDS)
    releases.current()
    assert len(shelf.waiting) == 3


def test_a_restore_without_a_thread_to_start_or_without_a_pointer_goes_on_as_it_was() -> None:
    def refuse(_check: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    shelf = Shelf()
    releases = started(shelf)
    releases.run = refuse
    shelf.point(Pointer(TWO))
    releases.resume(60.0)
    assert champion(releases.live) == ONE
    assert shelf.telemetry.failures == [("pointer not looked at", "RuntimeError")]
    alone = Releases(None, RecordingTelemetry(), lambda: 0.0, lambda: 0.0, refuse)
    alone.resume(60.0)
    assert alone.live == Live()
