"""Chat requests in Bedrock's terms: turns, settings, guardrails."""

from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from regroup.converse import converse_request
from regroup.domain.catalog import Candidate, Capabilities
from regroup.domain.chat import (
    DEFAULT_MAX_TOKENS,
    ChatRequest,
    said,
)
from regroup.errors import UpstreamRejectedError
from tests.local.complaints import complaint
from tests.local.converse_requests import CANDIDATE, translate

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
CONVERSE_STREAM: OperationModel = SERVICE.operation_model("ConverseStream")

# Requests


words = st.text(max_size=20)
requests = st.builds(
    ChatRequest,
    turns=st.lists(
        st.builds(said, role=st.sampled_from(["user", "assistant"]), text=words), max_size=6
    ).map(tuple),
    system=st.lists(words, max_size=3).map(tuple),
    max_tokens=st.none() | st.integers(1, 100_000),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(words, max_size=4).map(tuple),
)
candidates = st.builds(
    replace,
    st.just(CANDIDATE),
    capabilities=st.builds(Capabilities, sampling=st.booleans(), system=st.booleans()),
    guardrail_id=st.sampled_from([None, "abc123", "abc123:4"]),
)


@given(candidates, requests)
def test_bedrock_takes_every_translated_request(candidate: Candidate, request: ChatRequest) -> None:
    if not any(turn.text.strip() for turn in request.turns):
        with pytest.raises(UpstreamRejectedError):
            converse_request(candidate, request)
        return

    converse: Any = converse_request(candidate, request)

    assert CONVERSE_STREAM.input_shape is not None
    report = ParamValidator().validate(converse, CONVERSE_STREAM.input_shape)
    assert not report.has_errors(), report.generate_report()
    assert complaint(converse) is None
    inference = converse["inferenceConfig"]
    assert 1 <= inference["maxTokens"] <= candidate.max_output_tokens
    assert inference.get("temperature", 0) <= 1
    assert all(inference.get("stopSequences", ["some"]))


def test_a_plain_request_carries_no_more_than_it_must() -> None:
    assert translate() == {
        "modelId": CANDIDATE.model_id,
        "messages": [{"role": "user", "content": [{"text": "hello"}]}],
        "inferenceConfig": {"maxTokens": DEFAULT_MAX_TOKENS},
    }


def test_everything_a_request_can_hold_is_sent() -> None:
    converse = translate(
        system=("be short", "be kind"), max_tokens=7, temperature=0.5, top_p=0.25, stop=("END",)
    )

    assert converse["system"] == [{"text": "be short"}, {"text": "be kind"}]
    assert converse["inferenceConfig"] == {
        "maxTokens": 7,
        "temperature": 0.5,
        "topP": 0.25,
        "stopSequences": ["END"],
    }


def test_turns_of_one_role_are_joined_and_blank_ones_dropped() -> None:
    turns = (
        said("user", "one"),
        said("assistant", " \n"),
        said("user", "two"),
        said("assistant", "three"),
        said("user", "four"),
    )

    assert translate(turns=turns)["messages"] == [
        {"role": "user", "content": [{"text": "one"}, {"text": "two"}]},
        {"role": "assistant", "content": [{"text": "three"}]},
        {"role": "user", "content": [{"text": "four"}]},
    ]


def test_a_user_turn_goes_before_an_assistant_that_opens() -> None:
    messages = translate(turns=(said("assistant", "Welcome!"), said("user", "hi")))["messages"]

    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == [{"text": "Welcome!"}]


def test_a_prefill_does_not_end_in_white_space() -> None:
    messages = translate(turns=(said("user", "count"), said("assistant", "one, \n")))["messages"]

    assert messages[-1] == {"role": "assistant", "content": [{"text": "one,"}]}


def test_system_text_goes_to_the_user_where_there_is_no_system_prompt() -> None:
    candidate = replace(CANDIDATE, capabilities=Capabilities(system=False))

    converse = translate(candidate, system=("be short",))

    assert "system" not in converse
    assert converse["messages"] == [
        {"role": "user", "content": [{"text": "be short"}, {"text": "hello"}]}
    ]


@pytest.mark.parametrize(
    ("wanted", "limit", "sent"),
    [
        (None, 8_000, DEFAULT_MAX_TOKENS),
        (None, 1_000, 1_000),
        (500, 8_000, 500),
        (9_000, 8_000, 8_000),
    ],
)
def test_max_tokens_is_always_sent(wanted: int | None, limit: int, sent: int) -> None:
    candidate = replace(CANDIDATE, max_output_tokens=limit)

    assert translate(candidate, max_tokens=wanted)["inferenceConfig"]["maxTokens"] == sent


def test_a_candidate_without_sampling_gets_no_sampling() -> None:
    candidate = replace(CANDIDATE, capabilities=Capabilities(sampling=False))

    config = translate(candidate, temperature=0.5, top_p=0.5)["inferenceConfig"]

    assert set(config) == {"maxTokens"}


def test_openai_sampling_is_brought_to_bedrocks_scale() -> None:
    config = translate(temperature=1.7, top_p=1.0)["inferenceConfig"]

    assert config == {"maxTokens": DEFAULT_MAX_TOKENS, "temperature": 1.0}


GUARDRAIL_ARN = "arn:aws:bedrock:ap-northeast-1:123456789012:guardrail/abc123"


@pytest.mark.parametrize(
    ("guardrail_id", "identifier", "version"),
    [
        ("abc123", "abc123", "DRAFT"),
        ("abc123:2", "abc123", "2"),
        ("abc123:DRAFT", "abc123", "DRAFT"),
        (GUARDRAIL_ARN, GUARDRAIL_ARN, "DRAFT"),
        (f"{GUARDRAIL_ARN}:12", GUARDRAIL_ARN, "12"),
    ],
)
def test_a_guardrail_is_named_by_id_and_version(
    guardrail_id: str, identifier: str, version: str
) -> None:
    converse = translate(replace(CANDIDATE, guardrail_id=guardrail_id))

    assert converse["guardrailConfig"] == {
        "guardrailIdentifier": identifier,
        "guardrailVersion": version,
    }


def test_the_application_inference_profile_is_called_where_there_is_one() -> None:
    arn = "arn:aws:bedrock:ap-northeast-1:123456789012:application-inference-profile/abc"

    assert translate(replace(CANDIDATE, profile_arn=arn))["modelId"] == arn
