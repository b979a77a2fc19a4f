"""What every error of the SDK means to the router."""

from typing import Any

import botocore.session
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    EventStreamError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.model import OperationModel
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import ReadTimeoutError as Urllib3ReadTimeoutError

from regroup.adapters.bedrock import upstream_error
from regroup.errors import (
    UpstreamDeniedError,
    UpstreamError,
    UpstreamIncapableError,
    UpstreamRejectedError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
CONVERSE_STREAM: OperationModel = SERVICE.operation_model("ConverseStream")
PROMPT = "the-secret-prompt"

ERRORS = {
    "AccessDeniedException": UpstreamDeniedError,
    "InternalServerException": UpstreamUnavailableError,
    "ModelErrorException": UpstreamUnavailableError,
    "ModelNotReadyException": UpstreamThrottledError,
    "ModelStreamErrorException": UpstreamUnavailableError,
    "ModelTimeoutException": UpstreamTimeoutError,
    "ResourceNotFoundException": UpstreamDeniedError,
    "ServiceUnavailableException": UpstreamUnavailableError,
    "ThrottlingException": UpstreamThrottledError,
    "ValidationException": UpstreamRejectedError,
}


def client_error(code: str, status: int | None, message: str = PROMPT) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}}
    if status is not None:
        response["ResponseMetadata"] = {"HTTPStatusCode": status}
    return ClientError(response, "ConverseStream")


def stream_error(code: str, message: str = PROMPT) -> EventStreamError:
    return EventStreamError({"Error": {"Code": code, "Message": message}}, "ConverseStream")


@pytest.mark.parametrize("shape", CONVERSE_STREAM.error_shapes, ids=lambda shape: shape.name)
def test_every_error_of_the_service_model_has_its_meaning(shape: Any) -> None:
    status = shape.metadata["error"]["httpStatusCode"]

    # 418 lets no error be judged by its status: a code the table does not know fails here.
    for answered in (status, 418):
        assert (
            type(upstream_error("haiku", client_error(shape.name, answered))) is ERRORS[shape.name]
        )


STREAM_MEMBERS: Any = CONVERSE_STREAM.output_shape.members["stream"].members  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "name", [name for name, shape in STREAM_MEMBERS.items() if shape.metadata.get("exception")]
)
def test_every_exception_event_of_the_service_model_has_its_meaning(name: str) -> None:
    meaning = ERRORS[name[0].upper() + name[1:]]

    assert type(upstream_error("haiku", stream_error(name))) is meaning


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        ("ServiceQuotaExceededException", 400, UpstreamThrottledError),
        ("FTUFormNotFilled", 404, UpstreamDeniedError),
        ("UnrecognizedClientException", 403, UpstreamDeniedError),
        ("SomethingNew", 500, UpstreamUnavailableError),
        ("SomethingNew", 599, UpstreamUnavailableError),
        ("SomethingNew", 429, UpstreamThrottledError),
        ("SomethingNew", 408, UpstreamTimeoutError),
        ("SomethingNew", 403, UpstreamDeniedError),
        ("SomethingNew", 404, UpstreamDeniedError),
        ("SomethingNew", 400, UpstreamRejectedError),
        ("SomethingNew", None, UpstreamUnavailableError),
        ("", None, UpstreamUnavailableError),
    ],
)
def test_other_answers_are_judged_by_code_then_status(
    code: str, status: int | None, meaning: type[UpstreamError]
) -> None:
    assert type(upstream_error("haiku", client_error(code, status))) is meaning


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("Input is too long for requested model.", UpstreamIncapableError),
        ("prompt is too long: 208310 tokens > 200000 maximum", UpstreamIncapableError),
        (
            "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token"
            " count: 9279",
            UpstreamIncapableError,
        ),
        (
            "Malformed input request: expected maxLength: 42000, actual: 46735, please reformat"
            " your input and try again.",
            UpstreamIncapableError,
        ),
        (
            "The maximum tokens you requested exceeds the model limit of 2048.",
            UpstreamIncapableError,
        ),
        (
            "Invocation of model ID m with on-demand throughput isn\u2019t supported.",
            UpstreamIncapableError,
        ),
        (
            "Invocation of model ID m with on-demand throughput isn't supported.",
            UpstreamIncapableError,
        ),
        ("The provided model doesn\u2019t support on-demand throughput.", UpstreamIncapableError),
        ("Operation not allowed", UpstreamIncapableError),
        ("This model doesn't support tool use in streaming mode.", UpstreamIncapableError),
        ("This model doesn\u2019t support system messages.", UpstreamIncapableError),
        ("The model is unsupported for streaming.", UpstreamIncapableError),
        (
            "The model returned the following errors: `temperature` and `top_p` cannot both be"
            " specified for this model. Please use only one.",
            UpstreamIncapableError,
        ),
        (
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be"
            " explicitly set to false",
            UpstreamIncapableError,
        ),
        ("The provided model identifier is invalid.", UpstreamDeniedError),
        ("The guardrail identifier or version provided does not exist.", UpstreamDeniedError),
        ("A conversation must start with a user message.", UpstreamRejectedError),
        ("", UpstreamRejectedError),
    ],
)
def test_a_validation_error_is_judged_by_its_message(
    message: str, meaning: type[UpstreamError]
) -> None:
    assert (
        type(upstream_error("haiku", client_error("ValidationException", 400, message))) is meaning
    )
    assert type(upstream_error("haiku", stream_error("validationException", message))) is meaning


URL = "http://127.0.0.1"


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (ReadTimeoutError(endpoint_url=URL), UpstreamTimeoutError),
        (ConnectTimeoutError(endpoint_url=URL), UpstreamTimeoutError),
        (Urllib3ReadTimeoutError(None, URL, "slow"), UpstreamTimeoutError),  # type: ignore[arg-type]
        (EndpointConnectionError(endpoint_url=URL), UpstreamUnavailableError),
        (ConnectionClosedError(endpoint_url=URL), UpstreamUnavailableError),
        (ResponseStreamingError(error="broken"), UpstreamUnavailableError),
        (ProtocolError("broken"), UpstreamUnavailableError),
        (ResponseParserError("alien"), UpstreamUnavailableError),
        (AttributeError("'list' object has no attribute 'get'"), UpstreamUnavailableError),
        (NoCredentialsError(), UpstreamDeniedError),
        (ParamValidationError(report=PROMPT), UpstreamRejectedError),
    ],
)
def test_errors_without_an_answer_have_their_meaning(
    error: Exception, meaning: type[UpstreamError]
) -> None:
    assert type(upstream_error("haiku", error)) is meaning


@pytest.mark.parametrize(
    "error",
    [
        client_error("ValidationException", 400),
        stream_error("validationException"),
        ParamValidationError(report=PROMPT),
    ],
)
def test_the_message_names_the_candidate_and_repeats_no_prompt(error: Exception) -> None:
    message = str(upstream_error("haiku", error))

    assert message.startswith("haiku: ")
    assert PROMPT not in message
