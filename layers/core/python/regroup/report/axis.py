"""Axes with round ticks, linear or logarithmic."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_TICKS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plot. What it stores is drawn units: logarithms where `log`."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    """(place, text)"""
    log: bool = False

    def at(self, value: float) -> float:
        """Return where on the axis a value is drawn."""
        return math.log10(value) if self.log else value


def linear(title: str, values: Iterable[float]) -> Axis:
    """Return an axis from a round number below the values to one above them."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        reach = abs(high) / 10 or 1.0
        low, high = low - reach, high + reach
    step = _step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if round(step, decimals) != step:
        decimals += 1
    ticks = tuple((at * step, f"{at * step:,.{decimals}f}") for at in range(first, last + 1))
    return Axis(title, first * step, last * step, ticks)


def logarithmic(title: str, values: Iterable[float]) -> Axis:
    """Return an axis of logarithms; values at or below zero have no place on it."""
    known = [value for value in values if math.isfinite(value) and value > 0] or [1.0]
    low, high = math.log10(min(known)), math.log10(max(known))
    pad = max(0.04 * (high - low), 0.02)
    low, high = low - pad, high + pad
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = _log_ticks(low, high, digits)
        if len(ticks) <= _MOST_TICKS:
            break
    return Axis(title, low, high, tuple(ticks[:: math.ceil(len(ticks) / _MOST_TICKS) or 1]), True)


def plain(value: float) -> str:
    """Return three significant digits without an exponent, such as 0.0123 or 45,000."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(decimals, 12)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _step(span: float) -> float:
    size = 10.0 ** math.floor(math.log10(span / (_MOST_TICKS - 1)))
    return next(size * step for step in _STEPS if span / (size * step) <= _MOST_TICKS - 1)


def _log_ticks(low: float, high: float, digits: Sequence[int]) -> list[tuple[float, str]]:
    values = (
        digit * 10.0**power
        for power in range(math.floor(low), math.ceil(high) + 1)
        for digit in digits
    )
    placed = ((math.log10(value), plain(value)) for value in values)
    return [(place, text) for place, text in placed if low <= place <= high]
