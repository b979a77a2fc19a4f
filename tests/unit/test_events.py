"""The lines that others read: their fields, and what they never hold."""

from regroup.domain.chat import Answer, ToolUse, Usage
from regroup.domain.decision import CacheState, Decision
from regroup.domain.events import Attempt, Outcome, decision_line, interaction_message
from regroup.domain.mask import Hurdle
from regroup.domain.policy import Choice, Reason
from regroup.domain.prediction import Prediction

DECISION = Decision(
    decision_id="d1",
    version="v" * 64,
    preset="balanced",
    choice=Choice("a", Reason.LEARNED, {"a": 1.0, "b": 0.0}, ("a", "b")),
    mask={"a": None, "b": None, "c": Hurdle.ENDED},
    prediction=Prediction(3, 0.5, {"a": 0.9, "b": 0.4}, {"a": 100.0, "b": 50.0}),
    expected_costs_usd={"a": 0.01, "b": 0.001},
    cache=CacheState.MISS,
    explore_allowed=True,
)
OUTCOME = Outcome(
    attempts=(Attempt("a", "throttled"), Attempt("b", None)),
    status=200,
    usage=Usage(input=10, output=20),
    cost_usd=0.002,
    latency_ms=123.456,
    first_byte_ms=45.6,
)


def a_decision_line() -> dict[str, object]:
    """A line with every field that a line can have."""
    dry = decision_line(DECISION, None, key_id="k", at=1.0)
    return dry | decision_line(DECISION, OUTCOME, key_id="k", at=1.0)


def test_after_a_fallback_the_routed_model_is_the_one_that_answered() -> None:
    line = decision_line(DECISION, OUTCOME, key_id="k", at=1.0)
    assert (line["routed_model"], line["chosen_model"], line["fallbacks"]) == ("b", "a", 1)


def test_a_line_has_the_names_that_the_saved_queries_use() -> None:
    assert {"cluster_id", "routed_model", "decision_id", "version", "cost_usd"} <= set(
        a_decision_line()
    )


def test_the_mask_names_every_candidate_and_why_it_was_left_out() -> None:
    assert a_decision_line()["mask"] == {"a": None, "b": None, "c": "end_of_life"}


def test_a_sampled_interaction_holds_the_text_and_how_likely_it_was_sampled() -> None:
    line = a_decision_line()
    answer = Answer("that", "tool_calls", Usage(), (ToolUse("1", "look", "{}"),))
    message = interaction_message(
        DECISION, line, query="what?", answer=answer, inclusion_probability=0.25
    )
    assert (message["text"], message["answer"]) == ("what?", "that")
    assert message["tool_calls"] == [{"name": "look", "arguments": "{}"}]
    assert (message["id"], message["inclusion_probability"]) == ("d1", 0.25)
    assert "what?" not in str(line)
