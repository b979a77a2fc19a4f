"""Find the candidates that cannot serve a request, before any of them is scored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from regroup.domain.catalog import Candidate, Catalog, Script

_MARGIN = 1.1
"""Estimated tokens may be this much too low without a request being refused upstream."""


class Hurdle(StrEnum):
    """Why a candidate is left out."""

    NOT_SCORED = "not_scored"
    """The live artifact predicts nothing for it."""
    CONTEXT = "context_window"
    NOT_YET = "not_yet_available"
    ENDED = "end_of_life"
    SYSTEM = "system_messages"
    COOLING_DOWN = "cooling_down"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a request asks of whoever serves it."""

    script_counts: Mapping[Script, int]
    """Characters of the whole prompt by script."""
    system: bool
    today: date


def find_hurdles(
    catalog: Catalog, needs: Needs, *, scored: Collection[str], cooling: Collection[str]
) -> dict[str, Hurdle | None]:
    """Return for every candidate what keeps it from serving, or None.

    A candidate that only rests is let back in where nobody else is left: the last one standing
    is always tried.
    """
    hurdles = {
        name: find_lasting_hurdle(candidate, needs) if name in scored else Hurdle.NOT_SCORED
        for name, candidate in catalog.candidates.items()
    }
    able = [name for name, hurdle in hurdles.items() if hurdle is None]
    resting = [name for name in able if name in cooling]
    if len(resting) < len(able):
        hurdles |= dict.fromkeys(resting, Hurdle.COOLING_DOWN)
    return hurdles


def find_lasting_hurdle(candidate: Candidate, needs: Needs) -> Hurdle | None:
    """Return what keeps this candidate from serving the request at any time today, or None."""
    if candidate.available_from is not None and needs.today < candidate.available_from:
        return Hurdle.NOT_YET
    if candidate.end_of_life is not None and needs.today >= candidate.end_of_life:
        return Hurdle.ENDED
    if needs.system and not candidate.capabilities.system:
        return Hurdle.SYSTEM
    if candidate.estimate_tokens(needs.script_counts) * _MARGIN > candidate.context_tokens:
        return Hurdle.CONTEXT
    return None
