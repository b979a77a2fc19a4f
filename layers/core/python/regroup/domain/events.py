"""The lines and messages that others read: schema 1, field names as the saved queries use them.

No line holds prompt text; the sampled interaction, which goes to a queue of its own, does.
"""

from dataclasses import dataclass
from math import isfinite

from regroup.domain.chat import Answer, Usage
from regroup.domain.decision import Decision

SCHEMA = 1

_DIGITS = 6
_USD_DIGITS = 9

_SESSION_LETTERS = 16
"""Enough of a digest to tell the conversations of a week apart."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One candidate that was asked; `error` is a short word, None where it answered."""

    candidate: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision."""

    attempts: tuple[Attempt, ...]
    status: int
    """Of HTTP; 499 where the caller went away."""
    usage: Usage | None
    cost_usd: float | None
    latency_ms: float
    first_byte_ms: float | None

    @property
    def answered_by(self) -> str | None:
        """The candidate that answered, if one did."""
        return next((a.candidate for a in reversed(self.attempts) if a.error is None), None)

    @property
    def spoke(self) -> str | None:
        """The candidate that answered or began to; None where nobody said anything."""
        return None if self.first_byte_ms is None else self.attempts[-1].candidate


def decision_line(
    decision: Decision, outcome: Outcome | None, *, key_id: str | None, at: float
) -> dict[str, object]:
    """Return the `decision` log line; without an outcome only the decision was asked for."""
    line: dict[str, object] = {
        "event": "decision",
        "schema": SCHEMA,
        "at": round(at, 3),
        "key_id": key_id,
        **explain(decision),
    }
    if outcome is None:
        return line | {"dry_run": True}
    usage = outcome.usage or Usage()
    return line | {
        # Who answered, which after a fallback is not who was chosen.
        "routed_model": outcome.spoke or decision.choice.candidate,
        "chosen_model": decision.choice.candidate,
        "status": outcome.status,
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "cost_usd": outcome.cost_usd,
        "latency_ms": round(outcome.latency_ms, 1),
        "first_byte_ms": None if outcome.first_byte_ms is None else round(outcome.first_byte_ms, 1),
        "fallbacks": len([a for a in outcome.attempts if a.error is not None]),
        "attempts": [{"model": a.candidate, "error": a.error} for a in outcome.attempts],
    }


def explain(decision: Decision) -> dict[str, object]:
    """Return why the decision fell as it did: what `/v1/route` answers and the log line holds."""
    prediction = decision.prediction
    return {
        "decision_id": decision.decision_id,
        "version": decision.version,
        "routed_model": decision.choice.candidate,
        "reason": decision.choice.reason.value,
        "preset": decision.preset,
        "cost_weight": decision.choice.cost_weight,
        "scores": _all_rounded(decision.choice.scores),
        "cluster_id": prediction.cluster if prediction else None,
        "distance": _rounded(prediction.distance) if prediction else None,
        "predicted_rewards": _all_rounded(prediction.rewards) if prediction else {},
        "reward_errors": _all_rounded(prediction.reward_errors) if prediction else {},
        "predicted_output_tokens": _all_rounded(prediction.output_tokens) if prediction else {},
        "predicted_costs_usd": _all_rounded(decision.expected_costs_usd, _USD_DIGITS),
        "mask": {name: hurdle.value if hurdle else None for name, hurdle in decision.mask.items()},
        "probabilities": {
            **{str(arm): dict(probabilities) for arm, probabilities in decision.arms.items()},
            "behaviour": dict(decision.behaviour),
        },
        "arm": decision.arm,
        "challenger_version": decision.challenger,
        "explore_allowed": decision.explore_allowed,
        "cache": decision.cache.value,
        **_session_fields(decision),
        **_confidence_fields(decision),
    }


def _session_fields(decision: Decision) -> dict[str, object]:
    session, staying = decision.session, decision.choice.staying
    fields: dict[str, object] = {"session": decision.session_name[:_SESSION_LETTERS]}
    if session is not None:
        fields |= {"session_model": session.model, "session_turns": session.turns}
    if staying is not None:
        fields |= {
            "switch_rival": staying.rival,
            "switch_saving": _rounded(staying.saving),
            "switch_cost": _rounded(staying.switch_cost),
            "switch_cost_usd": _rounded(staying.switch_cost_usd),
        }
    return fields


def _confidence_fields(decision: Decision) -> dict[str, object]:
    if decision.confidence is None:
        return {}
    gain = decision.confidence.expected_gain
    return {
        "probability_best": _rounded(decision.confidence.probability_best),
        "expected_gain": None if gain is None else _rounded(gain),
    }


def interaction_message(
    decision: Decision,
    line: dict[str, object],
    *,
    query: str,
    answer: Answer,
    inclusion_probability: float,
) -> dict[str, object]:
    """Return a sampled interaction for the collector, text included."""
    return {
        "event": "interaction",
        "schema": SCHEMA,
        "id": decision.decision_id,
        "text": query,
        "answer": answer.text,
        "tool_calls": [{"name": use.name, "arguments": use.arguments} for use in answer.tool_uses],
        "inclusion_probability": inclusion_probability,
        "decision": line,
    }


def _all_rounded(values: dict[str, float], digits: int = _DIGITS) -> dict[str, float | None]:
    return {name: _rounded(value, digits) for name, value in sorted(values.items())}


def _rounded(value: float, digits: int = _DIGITS) -> float | None:
    """Round a number; JSON knows neither NaN nor infinity."""
    return round(value, digits) if isfinite(value) else None
