"""The doctor with real boto3 over HTTP: every refusal of the loopback Bedrock, and its faults."""

from collections.abc import Iterator
from datetime import date

import boto3
import botocore.session
import pytest
from botocore.credentials import CredentialResolver

from regroup.adapters.bedrock import BedrockChatModel
from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from tests.contract.test_bedrock_chat_model import Clients
from tests.local.bedrock import (
    REQUEST_ID,
    Delay,
    Fault,
    Garbage,
    LoopbackBedrock,
    Reset,
    ResetMidStream,
    Status,
    StreamException,
)
from tests.local.refusals import REFUSALS, Refused
from tests.local.stack import CATALOG
from training.doctor import Answered, Outcome, examine
from training.doctor import Refused as Found

SHIPPED = read_catalog(CATALOG.read_bytes(), place="catalog")
HAIKU = SHIPPED.candidates["haiku"]
ONE = Catalog({"haiku": HAIKU})
TODAY = date(2026, 11, 28)


@pytest.fixture(scope="module")
def bedrock() -> Iterator[LoopbackBedrock]:
    with LoopbackBedrock() as server:
        yield server


@pytest.fixture(scope="module")
def model(bedrock: LoopbackBedrock) -> Iterator[BedrockChatModel]:
    model = BedrockChatModel(Clients(bedrock.endpoint_url))
    yield model
    model.close()


def visit(bedrock: LoopbackBedrock, model: BedrockChatModel, fault: Fault) -> Outcome:
    """Examine the one candidate that meets a fault."""
    bedrock.plan(HAIKU.invoke_id, [fault])
    [finding] = examine(ONE, model, today=TODAY)
    return finding.outcome


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda one: f"{one.code}: {one.message[:40]}")
def test_a_refusal_over_http_leads_to_its_cure(
    bedrock: LoopbackBedrock, model: BedrockChatModel, refused: Refused
) -> None:
    before = len(bedrock.calls)
    found = visit(bedrock, model, Status(refused.status, refused.code, refused.message))

    assert isinstance(found, Found)
    assert found.refusal.code == refused.code
    assert found.refusal.request_id == REQUEST_ID
    assert refused.cause in found.advice.cause
    assert refused.cure in found.advice.cure
    assert refused.url in found.advice.url
    assert len(bedrock.calls) == before + 1


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Reset(), "the connection broke"),
        (ResetMidStream(1), "the connection broke"),
        (StreamException("throttlingException"), "quota"),
        (StreamException("modelStreamErrorException"), "broke off"),
        (Garbage(), "does not know"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_fault_of_the_line_is_a_finding_too(
    bedrock: LoopbackBedrock, model: BedrockChatModel, fault: Fault, cause: str
) -> None:
    found = visit(bedrock, model, fault)

    assert isinstance(found, Found)
    assert cause in found.advice.cause


def test_no_answer_in_time_is_a_finding(bedrock: LoopbackBedrock, model: BedrockChatModel) -> None:
    bedrock.plan(HAIKU.invoke_id, [Delay(30)])
    [finding] = examine(ONE, model, today=TODAY, timeout_seconds=1)

    assert isinstance(finding.outcome, Found)
    assert finding.outcome.advice.cause == "no answer came in time"


def test_where_nobody_listens_the_network_is_to_be_looked_at() -> None:
    model = BedrockChatModel(Clients("http://127.0.0.1:9"))
    [finding] = examine(ONE, model, today=TODAY)

    assert isinstance(finding.outcome, Found)
    assert finding.outcome.refusal.code == "EndpointConnectionError"
    assert "port 443" in finding.outcome.advice.cure


def test_without_credentials_it_says_how_to_give_some(bedrock: LoopbackBedrock) -> None:
    bare = botocore.session.get_session()
    bare.register_component("credential_provider", CredentialResolver(providers=[]))
    model = BedrockChatModel(Clients(bedrock.endpoint_url, boto3.Session(botocore_session=bare)))
    [finding] = examine(ONE, model, today=TODAY)

    assert isinstance(finding.outcome, Found)
    assert finding.outcome.advice.cause == "no AWS credentials were found"
    assert "AWS_PROFILE" in finding.outcome.advice.cure
    model.close()


def test_the_shipped_candidates_answer_side_by_side(
    bedrock: LoopbackBedrock, model: BedrockChatModel
) -> None:
    findings = examine(SHIPPED, model, today=TODAY)

    assert [type(one.outcome) for one in findings] == [Answered] * 4
