"""What is written after an answer: in any order, each on its own, and not too late."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product

import pytest

from classifier.runners import Runner, Work, in_turn, side_by_side
from classifier.service import RouteService
from regroup.domain.budget import Amount, Budget
from regroup.domain.chat import fold
from tests.local.fakes import USAGE
from tests.local.world import World, ask, small_world


@dataclass(slots=True)
class Writes:
    """Runs the writes of answers in an order of its own, and what happens before each of them."""

    order: Sequence[int] = range(4)
    before_each: Callable[[], object] = lambda: None

    def run(self, works: Sequence[Work]) -> None:
        assert len(works) == 4
        for place in self.order:
            self.before_each()
            works[place]()


def service_of(world: World, run: Runner) -> RouteService:
    """Return the service with its writes run by `run`."""
    return replace(world.service, recorder=replace(world.service.recorder, run=run))


def pay(world: World, run: Runner) -> None:
    """Answer one request of a key with a budget."""
    request = ask(preset="quality", budget=Budget(usd_micros=10_000_000))
    assert fold(service_of(world, run).answer(request, world.deadline())).text == "Good day."


def kept(world: World) -> tuple[object, ...]:
    """Return all that one answer left behind."""
    stores = (world.budgets.counts, world.decisions.items, world.sessions.items)
    return (*stores, world.queue.messages, world.telemetry.lines, world.telemetry.counts)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_whatever_order_the_writes_come_the_same_is_kept(order: tuple[int, ...]) -> None:
    world, other = small_world(sample_rate=1.0), small_world(sample_rate=1.0)
    pay(world, in_turn)
    pay(other, Writes(order).run)
    assert kept(world) == kept(other)
    assert all(kept(world))


@pytest.mark.parametrize("fails", list(product([False, True], repeat=4)))
def test_side_by_side_each_write_that_fails_is_counted_and_costs_no_other(
    fails: tuple[bool, bool, bool, bool],
) -> None:
    world = small_world(sample_rate=1.0)

    def run(works: Sequence[Work]) -> None:
        # Not before: the budget is asked at the beginning of a request as well.
        world.budgets.fails, world.decisions.fails, world.sessions.fails, world.queue.fails = fails
        side_by_side(works)

    pay(world, run)

    names = ("BudgetNotSettled", "DecisionLost", "SessionLost", "SampleLost")
    assert [world.telemetry.counts[name] for name in names] == [int(broken) for broken in fails]
    written = (world.decisions.items, world.sessions.items, world.queue.messages)
    assert [bool(one) for one in written] == [not broken for broken in fails[1:]]
    assert world.line["status"] == 200


def test_the_line_is_logged_before_anything_is_written() -> None:
    world = small_world(sample_rate=1.0)
    seen: list[int] = []
    pay(world, Writes(before_each=lambda: seen.append(len(world.telemetry.lines))).run)
    assert seen == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("seconds", "written"),
    # Between two writes; the deadline is 28 seconds after the start, and 0.4 more are allowed.
    [(7.0, 3), (7.2, 2), (14.1, 1), (28.5, 0)],
)
def test_no_write_begins_after_the_deadline_but_the_budget_is_always_settled(
    seconds: float, written: int
) -> None:
    world = small_world(sample_rate=1.0)
    pay(world, Writes(before_each=lambda: world.clock.advance(seconds)).run)
    stores = (world.decisions.items, world.sessions.items, world.queue.messages)
    assert sum(bool(store) for store in stores) == written
    # However many are cut, it is one record.
    assert world.telemetry.counts["RecordCut"] == int(written < 3)
    (spent,) = world.budgets.counts.values()
    tokens = USAGE.input + USAGE.output + USAGE.cache_read + USAGE.cache_write
    assert spent == Amount(tokens * 20, tokens)
