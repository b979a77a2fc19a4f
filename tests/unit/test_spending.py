"""A key's budget: what is set aside, what is given back, and who is closed when it runs out."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.budgets import WhenUnknown
from classifier.http import Request
from regroup.domain.budget import MICRO, Amount, Budget, BudgetDay, Holding, budget_day
from regroup.domain.catalog import Candidate, Catalog
from regroup.domain.chat import (
    Answer,
    ChatEvent,
    ChatRequest,
    Metered,
    Stop,
    TextDelta,
    Usage,
    fold,
    said,
)
from regroup.errors import (
    BudgetExhaustedError,
    BudgetUnknownError,
    NoAnswerError,
    UnprocessableError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)
from tests.local.fakes import FakeBudgets, Step
from tests.local.world import World, ask, plan, small_catalog, small_world

DAY = "2026-09-21"
"""Of the fake clock, in UTC."""
SHORT = ChatRequest((said("user", "hi"),), max_tokens=20)
"""2 letters are 0 tokens; the dearest answer has 20."""
END: tuple[Step, ...] = (Stop("stop"), Metered(Usage(0, 20)))


def answer(world: World, budget: Budget, **changes: object) -> Answer:
    fields = {"chat": SHORT, "budget": budget, "preset": "quality", **changes}
    return fold(world.service.answer(replace(ask(), **fields), world.deadline()))  # type: ignore[arg-type]


def spent(world: World) -> Amount:
    return world.budgets.spent_by("key-1", DAY)


def use_all(world: World, name: str, times: int = 1) -> None:
    """Let the next answers of a candidate use every token set aside for them."""
    steps: list[Step] = [TextDelta("x"), *END]
    world.chat_model.plan(name, *[steps] * times)


def test_without_a_budget_nothing_is_counted() -> None:
    world = small_world()
    answer(world, Budget())
    assert world.budgets.counts == {}


def test_the_most_a_call_may_cost_is_set_aside_and_the_rest_given_back() -> None:
    world = small_world()
    seen: list[Amount] = []
    stream = world.service.answer(
        replace(ask(), chat=SHORT, budget=Budget(usd_micros=1_000), preset="quality"),
        world.deadline(),
    )
    seen.append(spent(world))
    fold(stream)
    seen.append(spent(world))
    # large takes 20 dollars a million tokens: 20 output tokens are 400 micro-dollars.
    assert seen[0] == Amount(400, 20)
    # It used 10 + 20 + 3 + 4 tokens, all at that price, which is more than was expected.
    assert seen[1] == Amount(740, 37)


def test_a_budget_of_ten_calls_holds_ten() -> None:
    world = small_world()
    use_all(world, "small", 20)
    for _ in range(10):
        answer(world, Budget(tokens=200), preset="economy")
    with pytest.raises(BudgetExhaustedError) as caught:
        answer(world, Budget(tokens=200), preset="economy")
    assert caught.value.status == 429
    assert caught.value.code == "budget_exhausted"
    assert world.chat_model.asked == ["small"] * 10
    assert world.telemetry.lines[-1]["event"] == "refused"
    assert world.telemetry.lines[-1]["code"] == "budget_exhausted"


def test_fifty_threads_against_a_budget_of_ten_calls_never_get_an_eleventh() -> None:
    world = small_world()
    use_all(world, "small", 50)
    barrier = threading.Barrier(50)
    outcomes: list[str] = []

    def run() -> None:
        barrier.wait()
        try:
            answer(world, Budget(tokens=200), preset="economy")
            outcomes.append("answered")
        except BudgetExhaustedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (outcomes.count("answered"), outcomes.count("refused")) == (10, 40)
    assert spent(world).tokens == 200


def test_dear_candidates_close_first() -> None:
    world = small_world()
    # 20 tokens of large are 400 micro-dollars, of medium 80, of small 20.
    for _ in range(9):
        use_all(world, "large")
        use_all(world, "medium")
        use_all(world, "small")
    chosen = []
    for _ in range(8):
        try:
            stream = world.service.answer(
                replace(ask(), chat=SHORT, budget=Budget(usd_micros=620), preset="quality"),
                world.deadline(),
            )
            fold(stream)
            chosen.append(stream.candidate)
        except BudgetExhaustedError:
            chosen.append("refused")
    assert chosen == ["large", "medium", "medium", "small", "small", "small", "refused", "refused"]
    assert world.telemetry.lines[-3]["mask"] == {
        "small": None,
        "medium": "budget",
        "large": "budget",
    }


def test_room_that_others_gave_back_is_seen_at_once() -> None:
    world = small_world()
    budget, day = Budget(tokens=20), budget_day(world.clock.wall, UTC)
    # Another instance has set all of it aside...
    world.budgets.hold("key-1", Amount(20, 20), budget, day)
    with pytest.raises(BudgetExhaustedError):
        answer(world, budget, preset="economy")
    # ...and gives it back.
    world.budgets.settle("key-1", Amount(-20, -20), day)
    answer(world, budget, preset="economy")


def test_the_next_day_is_whole_again_and_the_error_says_when() -> None:
    world = small_world()
    use_all(world, "small", 2)
    budget = Budget(tokens=20)
    answer(world, budget, preset="economy")
    with pytest.raises(BudgetExhaustedError, match=r"2026-09-22T00:00:00\+00:00") as caught:
        answer(world, budget, preset="economy")

    assert caught.value.retry_after_seconds is not None
    world.clock.advance(caught.value.retry_after_seconds)

    answer(world, budget, preset="economy")


def test_a_request_that_no_day_holds_is_told_what_it_needs_and_not_when() -> None:
    world = small_world()
    budget = Budget(usd_micros=19, tokens=1_000)
    with pytest.raises(BudgetExhaustedError) as caught:
        answer(world, budget)
    assert caught.value.retry_after_seconds is None
    assert str(caught.value) == (
        "The budget of this key is 0.000019 USD and 1,000 tokens a day, and this request may need "
        "0.000020 USD and 20 tokens: lower `max_tokens`, shorten the messages, or use a key with "
        "a larger budget."
    )
    response = world.api.handle(
        Request(
            "POST",
            "/v1/chat/completions",
            b'{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 20}',
            world.deadline(),
            "key-1",
            budget,
        )
    )
    assert (response.status, "retry-after" in response.headers) == (429, False)


def test_a_fallback_to_a_dearer_candidate_must_fit_as_well() -> None:
    world = small_world()
    world.chat_model.plan("small", [UpstreamThrottledError("small")])
    # Holds 20 tokens of small (20) or medium (80), not of large (400).
    plan(world, {"medium": [UpstreamThrottledError("medium")]})

    with pytest.raises(NoAnswerError):
        answer(world, Budget(usd_micros=399), preset="economy")

    # large was closed before anything was asked; what was set aside came back.
    assert world.chat_model.asked == ["small", "medium"]
    assert spent(world) == Amount(0, 0)


@dataclass(slots=True)
class Meanwhile:
    """A chat model during whose calls something happens to the budget."""

    world: World
    happens: Callable[[], object]

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        self.happens()
        model = self.world.chat_model
        return model.stream(candidate, request, timeout_seconds=timeout_seconds)


def test_a_fallback_that_others_made_too_dear_meanwhile_is_passed_over() -> None:
    world = small_world()
    # small takes 20 of it; medium would need 80, and 50 are left.
    budget = Budget(usd_micros=100)
    world.chat_model.plan("small", [UpstreamThrottledError("small")])
    day = budget_day(world.clock.wall, UTC)
    world.service.caller.chat_model = Meanwhile(
        world, lambda: world.budgets.hold("key-1", Amount(30, 1), budget, day)
    )

    with pytest.raises(NoAnswerError):
        answer(world, budget, preset="economy")

    assert world.line["attempts"] == [
        {"model": "small", "error": "throttled"},
        {"model": "medium", "error": "budget"},
    ]


@pytest.mark.parametrize(
    ("when_unknown", "asked"), [("cheapest", ["small"]), ("open", ["small", "medium"])]
)
def test_a_table_that_fails_during_a_fallback_opens_nobody_dearer(
    when_unknown: WhenUnknown, asked: list[str]
) -> None:
    world = small_world(when_unknown=when_unknown)
    world.chat_model.plan("small", [UpstreamThrottledError("small")])

    def fail() -> None:
        world.budgets.fails = True

    world.service.caller.chat_model = Meanwhile(world, fail)
    with suppress(NoAnswerError):
        answer(world, Budget(usd_micros=100_000), preset="economy")
    assert world.chat_model.asked == asked


def test_a_candidate_given_up_before_it_began_counts_in_full() -> None:
    world = small_world()
    world.chat_model.plan("large", [UpstreamTimeoutError("large")])
    use_all(world, "medium")
    answer(world, Budget(usd_micros=10_000))
    # Nobody knows what large would have billed: 400, and 80 that medium used.
    assert spent(world) == Amount(480, 40)


def test_what_was_answered_while_the_table_failed_is_counted_once_it_is_back() -> None:
    world = small_world(when_unknown="open")
    world.budgets.fails = True
    use_all(world, "large")
    stream = world.service.answer(
        replace(ask(), chat=SHORT, budget=Budget(tokens=100), preset="quality"), world.deadline()
    )
    world.budgets.fails = False
    fold(stream)
    assert spent(world) == Amount(400, 20)


def test_a_redrawn_choice_has_the_probabilities_that_led_to_it() -> None:
    world = small_world(explore_share=0.6)
    budget, day = Budget(usd_micros=500), budget_day(world.clock.wall, UTC)
    decider = world.service.decider
    # Another request takes the room of large between reading and setting aside.
    first = decider.decide(replace(ask(), chat=SHORT, preset="quality"), seconds=28.0)
    assert first.behaviour == pytest.approx({"small": 0.2, "medium": 0.2, "large": 0.6})
    moved = Taking(world.budgets, Amount(300, 1), budget, day)
    service = replace(world.service, budgets=replace(world.service.budgets, store=moved))
    for number in range(20):
        world.budgets.counts.clear()
        moved.taken = False
        request = replace(
            ask(), chat=SHORT, budget=budget, preset="quality", session_id=str(number)
        )
        fold(service.answer(request, world.deadline()))
    redrawn = [line for line in world.telemetry.lines if line["mask"]["large"] == "budget"]
    assert redrawn
    for line in redrawn:
        assert line["chosen_model"] == "medium"
        assert line["explore_allowed"] is True
        behaviour = line["probabilities"]["behaviour"]
        assert behaviour == pytest.approx({"small": 0.2, "medium": 0.8})


@dataclass(slots=True)
class Taking:
    """Budgets of which another request takes a part after they were read."""

    budgets: FakeBudgets
    amount: Amount
    budget: Budget
    day: BudgetDay
    taken: bool = False

    def spent(self, key_id: str, day: BudgetDay) -> Amount:
        return self.budgets.spent(key_id, day)

    def hold(self, key_id: str, amount: Amount, budget: Budget, day: BudgetDay) -> Holding:
        if not self.taken:
            self.taken = True
            self.budgets.hold(key_id, self.amount, self.budget, self.day)
        return self.budgets.hold(key_id, amount, budget, day)

    def settle(self, key_id: str, change: Amount, day: BudgetDay) -> None:
        self.budgets.settle(key_id, change, day)


def test_a_refusal_for_an_unknown_budget_leaves_a_line_that_says_so() -> None:
    for when_unknown in ("closed", "cheapest"):
        world = small_world(when_unknown=when_unknown)
        world.budgets.fails = True
        with pytest.raises(BudgetUnknownError):
            answer(world, Budget(tokens=100), candidate="large")
        assert (world.line["event"], world.line["code"]) == ("refused", "budget_unknown")
        with pytest.raises(BudgetUnknownError):
            world.decide(replace(ask(), budget=Budget(tokens=100), candidate="large"))


def test_what_a_broken_answer_used_is_unknown_so_all_of_it_stays_counted() -> None:
    world = small_world()
    world.chat_model.plan("large", [TextDelta("x"), UpstreamUnavailableError("large")])
    with pytest.raises(UpstreamUnavailableError):
        answer(world, Budget(usd_micros=1_000))
    assert spent(world) == Amount(400, 20)


@pytest.mark.parametrize(
    ("when_unknown", "outcome"),
    [("cheapest", "small"), ("open", "large"), ("closed", "BudgetUnknownError")],
)
def test_a_budget_that_cannot_be_read_leaves_it_to_the_setting(
    when_unknown: WhenUnknown, outcome: str
) -> None:
    world = small_world(when_unknown=when_unknown)
    world.budgets.fails = True
    try:
        request = replace(ask(), chat=SHORT, budget=Budget(tokens=100), preset="quality")
        stream = world.service.answer(request, world.deadline())
        fold(stream)
        found = stream.candidate
    except BudgetUnknownError as error:
        found = type(error).__name__
    assert found == outcome
    # Asked once: a table that hangs is not waited for twice.
    assert world.telemetry.counts["BudgetUnknown"] == 1


def test_a_dear_candidate_by_name_stays_closed_while_the_budget_is_unknown() -> None:
    world = small_world()
    world.budgets.fails = True
    answer(world, Budget(tokens=100), candidate="small")
    with pytest.raises(BudgetUnknownError):
        answer(world, Budget(tokens=100), candidate="large")
    assert world.chat_model.asked == ["small"]


def test_a_settlement_that_fails_costs_room_until_midnight_and_no_answer() -> None:
    world = small_world()
    stream = world.service.answer(
        replace(ask(), chat=SHORT, budget=Budget(tokens=100)), world.deadline()
    )
    world.budgets.fails = True
    fold(stream)
    assert spent(world).tokens == 20
    assert world.telemetry.counts["BudgetNotSettled"] == 1


# The cap of one request


@given(st.floats(1e-6, 0.05), st.integers(1, 4_096), st.integers(0, 3_000))
def test_no_answer_can_cost_more_than_the_request_allows(
    cap: float, max_tokens: int, letters: int
) -> None:
    world = small_world(catalog=_roomy(), explore_share=1.0)
    chat = ChatRequest((said("user", "x" * letters),), max_tokens=max_tokens)
    try:
        stream = world.service.answer(ask(chat=chat, max_cost_usd=cap), world.deadline())
    except UnprocessableError:
        return  # Not even the cheapest fits.
    call = world.chat_model.calls[-1]
    candidate = world.service.decider.catalog.candidates[stream.candidate]
    assert call.request.max_tokens is not None
    prompt = candidate.estimate_tokens({"latin": letters, "cjk": 0, "other": 0})
    assert candidate.cost_usd(prompt, call.request.max_tokens) <= cap * (1 + 1e-9)
    stream.close()


def _roomy() -> Catalog:
    everyone = small_catalog().candidates
    return Catalog({n: replace(one, context_tokens=10**6) for n, one in everyone.items()})


@pytest.mark.parametrize(
    ("seconds", "max_tokens", "sent"),
    [
        # 60 tokens a second, unless the catalog says otherwise; the candidate writes at most 500.
        (28.0, None, 500),
        (5.0, None, 300),
        (1.0, None, 256),
        (5.0, 400, 400),
        (5.0, 9_999, 500),
    ],
)
def test_the_default_length_of_an_answer_fits_into_the_time(
    seconds: float, max_tokens: int | None, sent: int
) -> None:
    world = small_world()
    chat = ChatRequest((said("user", "hi"),), max_tokens=max_tokens)
    fold(world.service.answer(ask(chat=chat), world.deadline(seconds)))
    assert world.chat_model.calls[0].request.max_tokens == sent


def test_exploration_never_draws_what_may_cost_more_than_the_deployment_allows() -> None:
    world = small_world(explore_share=1.0, explore_max_cost_usd=100 / MICRO)
    drawn = set()
    for _ in range(60):
        answer(world, Budget(), preset="economy")
        drawn.add(world.telemetry.lines[-1]["chosen_model"])
    # Not large, unless the router itself prefers it: economy prefers small.
    assert drawn == {"small", "medium"}
