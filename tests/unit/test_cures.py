"""Every refusal leads to its cause, its cure and an address, and none of its text is repeated."""

from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    EventStreamError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from regroup.adapters.bedrock import upstream_error
from regroup.catalog_file import read_catalog
from regroup.errors import UpstreamError, UpstreamUnavailableError
from tests.local.refusals import REFUSALS, ROLE, Refused
from tests.local.stack import CATALOG
from training.cures import CURES, Refusal, advise, find_cure, refusal_of

HAIKU = read_catalog(CATALOG.read_bytes(), place="catalog").candidates["haiku"]
CANARY = "the-secret-prompt"
URL = "https://bedrock-runtime.ap-northeast-1.amazonaws.com"

UNANSWERED = {
    "no sign-in token": (NoAuthTokenError(), "no sign-in", "aws sso login"),
    "credentials cannot be had": (
        CredentialRetrievalError(provider="sso", error_msg=CANARY),
        "cannot be had",
        "aws sso login",
    ),
    "token expired": (
        TokenRetrievalError(provider="sso", error_msg=CANARY),
        "expired",
        "aws sso login",
    ),
    "sso token missing": (SSOTokenLoadError(error_msg=CANARY), "no sign-in", "aws sso login"),
    "sso session over": (UnauthorizedSSOTokenError(), "expired", "aws sso login"),
    "no credentials": (NoCredentialsError(), "no AWS credentials", "set AWS_PROFILE"),
    "half of them": (
        PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        "half of the AWS credentials",
        "set AWS_ACCESS_KEY_ID",
    ),
    "no such profile": (
        ProfileNotFound(profile=CANARY),
        "AWS_PROFILE names a profile that is not there",
        "list-profiles",
    ),
    "no route": (EndpointConnectionError(endpoint_url=URL), "cannot be reached", "port 443"),
    "no connection": (ConnectTimeoutError(endpoint_url=URL), "cannot be reached", "firewall"),
    "no proxy": (ProxyConnectionError(proxy_url=URL), "proxy", "proxy"),
    "wrong certificate": (
        SSLError(endpoint_url=URL, error=OSError(CANARY)),
        "TLS",
        "AWS_CA_BUNDLE",
    ),
    "broken": (ConnectionClosedError(endpoint_url=URL), "broke", "port 443"),
    "broken amid a body": (ResponseStreamingError(error=CANARY), "broke", "port 443"),
    "broken amid a stream": (ProtocolError(CANARY), "broke", "port 443"),
    "no answer": (ReadTimeoutError(endpoint_url=URL), "no answer came in time", "again"),
    "given up": (TimeoutError(), "no answer came in time", "again"),
}


def client_error(refused: Refused) -> ClientError:
    answer: Any = {
        "Error": {"Code": refused.code, "Message": refused.message},
        "ResponseMetadata": {"HTTPStatusCode": refused.status, "RequestId": "r-1"},
    }
    return ClientError(answer, "ConverseStream")


def behind(error: Exception) -> UpstreamError:
    """Return the error that the adapter raises from an SDK's."""
    try:
        raise upstream_error("haiku", error) from error
    except UpstreamError as raised:
        return raised


@pytest.mark.parametrize("refused", REFUSALS, ids=lambda one: f"{one.code}: {one.message[:40]}")
def test_a_refusal_is_known_behind_the_error_that_hides_it(refused: Refused) -> None:
    refusal = refusal_of(behind(client_error(refused)))
    advice = advise(refusal, HAIKU)

    assert (refusal.code, refusal.request_id) == (refused.code, "r-1")
    assert refused.cause in advice.cause
    assert refused.cure in advice.cure
    assert refused.url in advice.url


@pytest.mark.parametrize(("error", "cause", "cure"), UNANSWERED.values(), ids=UNANSWERED)
def test_what_aws_did_not_even_answer_has_a_cure(error: Exception, cause: str, cure: str) -> None:
    refusal = refusal_of(behind(error))
    advice = advise(refusal, HAIKU)

    assert refusal.code == type(error).__name__
    assert refusal.request_id == ""
    assert cause in advice.cause
    assert cure in advice.cure
    assert advice.url.startswith("https://")
    assert CANARY not in f"{refusal} {advice}"


def test_every_row_is_met_by_an_example_so_none_stands_behind_another() -> None:
    errors = [client_error(one) for one in REFUSALS] + [error for error, *_ in UNANSWERED.values()]
    met = {find_cure(refusal_of(behind(error))) for error in errors}

    assert set(CURES) - met == set()


@pytest.mark.parametrize("row", CURES, ids=lambda row: f"{row.code or 'any'}: {row.marker}")
def test_every_row_can_be_put_into_words(row: Any) -> None:
    advice = advise(Refusal(row.code, message=row.marker), replace(HAIKU, destination_regions=()))

    assert not set("{}") & set(f"{advice.cause}{advice.cure}{advice.url}")
    assert all((advice.cause, advice.cure))
    assert advice.url.startswith("https://")
    assert row.marker == row.marker.lower()


def test_an_exception_amid_a_stream_is_the_same_refusal() -> None:
    answer: Any = {"Error": {"Code": "throttlingException", "Message": "Too many tokens"}}
    assert refusal_of(behind(EventStreamError(answer, "ConverseStream"))).code == (
        "ThrottlingException"
    )


def test_an_error_of_our_own_has_its_name_for_a_code() -> None:
    assert refusal_of(UpstreamUnavailableError("alien")) == Refusal("UpstreamUnavailableError")


def test_who_asked_is_said_only_where_the_message_names_him() -> None:
    named = Refusal(
        "AccessDeniedException", message=f"User: {ROLE} is not authorized to perform: x"
    )
    assert ROLE in advise(named, HAIKU).cause
    unnamed = replace(named, message="somebody is not authorized to perform: x")
    assert "the credentials in use" in advise(unnamed, HAIKU).cause


@given(
    code=st.sampled_from(sorted({row.code for row in CURES})),
    marker=st.sampled_from(sorted({row.marker for row in CURES})),
    before=st.text(),
    after=st.text(),
)
def test_nothing_of_the_message_comes_out_but_names_and_arns(
    code: str, marker: str, before: str, after: str
) -> None:
    message = f"{before} {CANARY} {marker} {ROLE} {CANARY} {after}"
    refusal = Refusal(code, message=message)
    advice = advise(refusal, HAIKU)

    assert CANARY not in f"{refusal!r} {advice!r}"
