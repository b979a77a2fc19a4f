"""A budget is never overdrawn, and whole again at the midnight of its own time zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.domain.budget import (
    NO_LIMITS,
    Amount,
    Budget,
    budget_day,
    end_of,
)

TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YORK = ZoneInfo("America/New_York")
# In Havana clocks change at midnight: one day a year begins at 01:00, another has 00:30 twice.
ZONES = [UTC, TOKYO, NEW_YORK, ZoneInfo("America/Havana"), ZoneInfo("Australia/Lord_Howe")]
HOUR = 3_600

counts = st.integers(0, 30)
amounts = st.builds(Amount, counts, counts)
limits = st.none() | st.integers(0, 60)
budgets = st.builds(Budget, limits, limits)
moments = st.floats(1_767_225_600, 2_000_000_000)  # 2026 to 2033


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def is_over(amount: Amount, budget: Budget) -> bool:
    return (budget.usd_micros is not None and amount.usd_micros > budget.usd_micros) or (
        budget.tokens is not None and amount.tokens > budget.tokens
    )


def plus(one: Amount, other: Amount) -> Amount:
    return Amount(one.usd_micros + other.usd_micros, one.tokens + other.tokens)


@given(budgets, st.lists(st.tuples(amounts, st.floats(0, 1))))
def test_no_sequence_of_calls_spends_more_than_the_budget(
    budget: Budget, calls: list[tuple[Amount, float]]
) -> None:
    spent = Amount(0, 0)
    for most, share_used in calls:
        if not budget.holds(most, spent):
            assert is_over(plus(spent, most), budget), "refused what would have fitted"
            continue
        spent = plus(spent, most)
        assert not is_over(spent, budget)
        used = Amount(int(most.usd_micros * share_used), int(most.tokens * share_used))
        spent = plus(spent, used - most)


@given(amounts, amounts)
def test_without_limits_everything_fits(amount: Amount, spent: Amount) -> None:
    assert NO_LIMITS.holds(amount, spent)


@pytest.mark.parametrize(
    ("budget", "limited"),
    [(Budget(), False), (Budget(0), True), (Budget(None, 0), True), (Budget(1, 1), True)],
)
def test_a_budget_of_nothing_is_a_limit_and_no_limit_is_none(budget: Budget, limited: bool) -> None:
    assert bool(budget) is limited


@pytest.mark.parametrize(
    ("now", "zone", "name", "ends_at"),
    [
        ("2026-11-24T14:59:59.999Z", TOKYO, "2026-11-24", "2026-11-25T00:00+09:00"),
        ("2026-11-24T15:00:00Z", TOKYO, "2026-11-25", "2026-11-26T00:00+09:00"),
        ("2026-12-31T14:59:59Z", TOKYO, "2026-12-31", "2027-01-01T00:00+09:00"),
        ("2028-02-28T15:00:00Z", TOKYO, "2028-02-29", "2028-03-01T00:00+09:00"),
        ("2026-03-08T05:00:00Z", NEW_YORK, "2026-03-08", "2026-03-09T00:00-04:00"),
        ("2026-11-01T03:59:59Z", NEW_YORK, "2026-10-31", "2026-11-01T00:00-04:00"),
        ("2026-11-01T04:00:00Z", NEW_YORK, "2026-11-01", "2026-11-02T00:00-05:00"),
    ],
)
def test_a_day_is_the_calendar_day_of_its_zone(
    now: str, zone: ZoneInfo, name: str, ends_at: str
) -> None:
    day = budget_day(seconds(now), zone)

    assert (day.name, day.ends_at) == (name, seconds(ends_at))


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 7, 1), 24), (date(2026, 11, 1), 25)]
)
def test_a_day_is_as_long_as_its_clocks_say(day: date, hours: int) -> None:
    length = end_of(day, NEW_YORK) - end_of(day - timedelta(days=1), NEW_YORK)

    assert length == hours * HOUR


@given(moments, st.sampled_from(ZONES))
def test_every_moment_lies_in_one_day_and_the_next_follows_at_once(
    now: float, zone: ZoneInfo
) -> None:
    day = budget_day(now, zone)
    tomorrow = budget_day(day.ends_at, zone)

    assert now < day.ends_at <= now + 25 * HOUR
    assert budget_day(day.ends_at - 0.001, zone) == day
    assert date.fromisoformat(tomorrow.name) - date.fromisoformat(day.name) == timedelta(days=1)


def test_the_calendar_ends() -> None:
    with pytest.raises((OverflowError, ValueError)):
        end_of(date.max, UTC)
