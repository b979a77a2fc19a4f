"""What a key may spend in a day, and what it has spent."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

MICRO = 1_000_000
"""Millionths of a US dollar in one: tables count whole numbers, which add up exactly."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Money and tokens, whole numbers; negative ones give back."""

    usd_micros: int
    tokens: int

    def __add__(self, other: "Amount") -> "Amount":
        """Return both together."""
        return Amount(self.usd_micros + other.usd_micros, self.tokens + other.tokens)

    def __sub__(self, other: "Amount") -> "Amount":
        """Return what this is more than another."""
        return Amount(self.usd_micros - other.usd_micros, self.tokens - other.tokens)


@dataclass(frozen=True, slots=True)
class Budget:
    """The most a key may use in a day; None sets no limit."""

    usd_micros: int | None = None
    tokens: int | None = None

    def __bool__(self) -> bool:
        """Tell whether there is any limit."""
        return self.usd_micros is not None or self.tokens is not None

    def holds(self, amount: Amount, spent: Amount) -> bool:
        """Tell whether `amount` still fits beside what is spent."""
        return _fits(amount.usd_micros, spent.usd_micros, self.usd_micros) and _fits(
            amount.tokens, spent.tokens, self.tokens
        )


NO_LIMITS = Budget()


@dataclass(frozen=True, slots=True)
class Holding:
    """Whether an amount was set aside, and what is spent and set aside in all."""

    granted: bool
    spent: Amount


@dataclass(frozen=True, slots=True)
class BudgetDay:
    """A calendar day of the deployment's time zone."""

    name: str
    """`2026-11-24`"""
    ends_at: float
    """Seconds since 1970 of the next midnight: when budgets are whole again."""


def budget_day(now: float, zone: tzinfo) -> BudgetDay:
    """Return the day that `now` (seconds since 1970) belongs to."""
    here = datetime.fromtimestamp(now, zone)
    return BudgetDay(f"{here:%Y-%m-%d}", end_of(here.date(), zone))


def end_of(day: date, zone: tzinfo) -> float:
    """Return the midnight after a day, in seconds since 1970.

    Raises:
        OverflowError: the calendar ends before.
        ValueError: likewise.
    """
    return datetime.combine(day + timedelta(days=1), time(), zone).timestamp()


def _fits(amount: int, spent: int, limit: int | None) -> bool:
    return limit is None or spent + amount <= limit
