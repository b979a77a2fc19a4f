"""Candidates on Amazon Bedrock, always asked through ConverseStream.

`BedrockChatModel` does the talking, in the terms of `regroup.converse` and
`regroup.converse_events`; `upstream_error` says which of our errors an SDK error is.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from regroup.converse import converse_request
from regroup.converse_events import chat_events
from regroup.domain.catalog import Candidate
from regroup.domain.chat import ChatEvent, ChatRequest
from regroup.errors import (
    UpstreamDeniedError,
    UpstreamError,
    UpstreamIncapableError,
    UpstreamRejectedError,
    UpstreamThrottledError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ConverseStreamRequestTypeDef

type ClientFactory = Callable[[str, Config], "BedrockRuntimeClient"]
"""Builds a client: (region, timeouts and attempts) -> client."""

TIMEOUT_LADDER_SECONDS = (1, 2, 3, 5, 8, 12, 18, 25, 40, 60, 120, 300, 900)
"""The read timeouts clients exist for; an attempt gets the longest that fits into its time."""

CONNECT_TIMEOUT_SECONDS = 1

_ERRORS: Mapping[str, type[UpstreamError]] = {
    "ThrottlingException": UpstreamThrottledError,
    "ModelNotReadyException": UpstreamThrottledError,
    "ServiceQuotaExceededException": UpstreamThrottledError,
    "ModelTimeoutException": UpstreamTimeoutError,
    "InternalServerException": UpstreamUnavailableError,
    "ServiceUnavailableException": UpstreamUnavailableError,
    "ModelErrorException": UpstreamUnavailableError,
    "ModelStreamErrorException": UpstreamUnavailableError,
    "AccessDeniedException": UpstreamDeniedError,
    "ResourceNotFoundException": UpstreamDeniedError,
    "FTUFormNotFilled": UpstreamDeniedError,
    "UnrecognizedClientException": UpstreamDeniedError,
    "ExpiredTokenException": UpstreamDeniedError,
}
"""By exception name; ValidationException is judged by its message, the rest by HTTP status."""

_ERRORS_BY_STATUS: Mapping[int, type[UpstreamError]] = {
    401: UpstreamDeniedError,
    403: UpstreamDeniedError,
    404: UpstreamDeniedError,
    408: UpstreamTimeoutError,
    429: UpstreamThrottledError,
}

_VALIDATION_MARKERS: tuple[tuple[str, type[UpstreamError]], ...] = (
    # The catalog names something that is not there, or may not be called in this way.
    ("model identifier is invalid", UpstreamDeniedError),
    ("guardrail identifier", UpstreamDeniedError),
    ("on-demand throughput", UpstreamIncapableError),
    ("operation not allowed", UpstreamIncapableError),
    # Context window and output limit, in the words of several providers.
    ("too long", UpstreamIncapableError),
    ("too many input tokens", UpstreamIncapableError),
    ("too large for model", UpstreamIncapableError),
    ("maximum context length", UpstreamIncapableError),
    ("exceed context limit", UpstreamIncapableError),
    ("exceeds the model limit", UpstreamIncapableError),
    ("expected maxlength", UpstreamIncapableError),
    # Capabilities: system prompts, prefill, images, tools, sampling, streaming.
    ("doesn't support", UpstreamIncapableError),
    ("does not support", UpstreamIncapableError),
    ("not supported", UpstreamIncapableError),
    ("unsupported for", UpstreamIncapableError),
    ("is deprecated for this model", UpstreamIncapableError),
    ("cannot both be specified", UpstreamIncapableError),
    ("extra inputs are not permitted", UpstreamIncapableError),
    ("extraneous key", UpstreamIncapableError),
    ("non-whitespace", UpstreamIncapableError),
    # A JSON schema beyond what this provider enforces.
    ("output_config.format", UpstreamIncapableError),
)
"""What a ValidationException says (in lower case) when another candidate may take the request.

Seen in public issue threads of langchain-aws, bedrock-access-gateway, litellm and others; Bedrock
documents none of them.
"""

_NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
_TIMEOUTS = (ConnectTimeoutError, ReadTimeoutError, TimeoutError, Urllib3TimeoutError)


class BedrockChatModel:
    """Asks candidates on Bedrock, one attempt each: whether to try again is the router's to say."""

    def __init__(self, client_factory: ClientFactory | None = None) -> None:
        """Build clients with `client_factory`, by default from boto3's own configuration."""
        self._build = client_factory or _default_client
        self._clients: dict[tuple[str, int], BedrockRuntimeClient] = {}
        self._lock = threading.Lock()

    def stream(
        self, candidate: Candidate, request: ChatRequest, *, timeout_seconds: float
    ) -> Iterator[ChatEvent]:
        """Yield the answer as it comes; nothing is sent before the first `next`.

        `timeout_seconds` bounds each wait for bytes, not the whole answer: a caller with a deadline
        stops taking events. It is rounded down to `TIMEOUT_LADDER_SECONDS`, and up to one second.

        Raises:
            UpstreamError: the subclass says whether another candidate may do better.
        """
        converse = converse_request(candidate, request)
        with closing(self._call(candidate, converse, timeout_seconds)) as events:
            yield from chat_events(candidate, request, events)

    def prepare(self, regions: Iterable[str], *, timeout_seconds: float) -> None:
        """Build ahead what requests of up to that time may need: tens of milliseconds a region."""
        rungs = [rung for rung in TIMEOUT_LADDER_SECONDS if rung <= timeout_seconds]
        for region in regions:
            for rung in rungs:
                self._client(region, rung)

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.close()

    def _call(
        self, candidate: Candidate, converse: "ConverseStreamRequestTypeDef", timeout: float
    ) -> Generator[Mapping[str, object]]:
        """Yield Bedrock's events; whatever the SDK raises comes out as an `UpstreamError`."""
        stream = None
        try:
            response = self._client(candidate.region, timeout).converse_stream(**converse)
            stream = response["stream"]
            yield from stream
        # Not only the SDK's own errors: alien bytes surface as whatever its parsers stumble over,
        # and a broken connection mid-stream as urllib3's (botocore/eventstream.py wraps neither).
        except Exception as error:
            raise upstream_error(candidate.name, error) from error
        finally:
            # Closes the connection, unless the stream was read to its end and gave it back.
            if stream is not None:
                stream.close()

    def _client(self, region: str, timeout_seconds: float) -> "BedrockRuntimeClient":
        """Return the client for a region and timeout.

        A read timeout belongs to a client, and a client costs tens of milliseconds and its own
        connections. So there is one per region and rung of the ladder, built when first needed.
        """
        rung = ladder_rung(timeout_seconds)
        with self._lock:
            client = self._clients.get((region, rung))
            if client is None:
                client = self._clients[region, rung] = self._build(region, _config(rung))
            return client


def ladder_rung(timeout_seconds: float) -> int:
    """Return the longest rung of the ladder that fits, the first one if none does."""
    return TIMEOUT_LADDER_SECONDS[max(0, bisect_right(TIMEOUT_LADDER_SECONDS, timeout_seconds) - 1)]


def upstream_error(candidate: str, error: Exception) -> UpstreamError:
    """Return what an SDK error means to the router; the message repeats none of the SDK's text."""
    if isinstance(error, ClientError):
        return _client_error_type(error)(f"{candidate}: {_code(error)}")
    return _error_type(error)(f"{candidate}: {type(error).__name__}")


def _error_type(error: Exception) -> type[UpstreamError]:
    """Judge an error that no answer from Bedrock came with."""
    if isinstance(error, _TIMEOUTS):
        return UpstreamTimeoutError
    if isinstance(error, _NO_CREDENTIALS):
        return UpstreamDeniedError
    if isinstance(error, ParamValidationError):
        return UpstreamRejectedError
    return UpstreamUnavailableError


def _client_error_type(error: ClientError) -> type[UpstreamError]:
    """Judge an error that Bedrock answered with: by name, message or HTTP status."""
    code = _code(error)
    if code == "ValidationException":
        return _validation_error_type(error.response.get("Error", {}).get("Message", ""))
    if code in _ERRORS:
        return _ERRORS[code]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if status is None or status >= 500:
        return UpstreamUnavailableError
    return _ERRORS_BY_STATUS.get(status, UpstreamRejectedError)


def _validation_error_type(message: str) -> type[UpstreamError]:
    """Judge a ValidationException by the markers in its message."""
    plain = message.replace("\u2019", "'").lower()  # Bedrock writes "isn't" in both ways
    return next(
        (error for marker, error in _VALIDATION_MARKERS if marker in plain), UpstreamRejectedError
    )


def _code(error: ClientError) -> str:
    """Return the exception name; events spell it `throttlingException`, answers with a capital."""
    code = error.response.get("Error", {}).get("Code", "")
    return code[:1].upper() + code[1:]


def _config(read_timeout_seconds: int) -> Config:
    """Return one attempt and explicit timeouts: the SDK's own are 60 s, three times."""
    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=read_timeout_seconds,
        retries={"total_max_attempts": 1, "mode": "standard"},
        # A connection that died while the function was frozen should show before it is reused.
        tcp_keepalive=True,
    )


def _default_client(region: str, config: Config) -> "BedrockRuntimeClient":
    """Build a client from boto3's default session."""
    return boto3.client("bedrock-runtime", region_name=region, config=config)
