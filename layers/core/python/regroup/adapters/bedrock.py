"""Candidates on Amazon Bedrock, always asked through ConverseStream.

Three parts: `converse_request` (a chat request in Bedrock's terms) and `chat_events` (Bedrock's
events in ours) are pure; `upstream_error` says which of our errors an SDK error is;
`BedrockChatModel` does the talking.
"""

import re
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

from regroup.domain.catalog import Candidate
from regroup.domain.chat import (
    ChatEvent,
    ChatRequest,
    Metered,
    Role,
    Stop,
    StopReason,
    TextDelta,
    Turn,
    Usage,
    said,
)
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
    from mypy_boto3_bedrock_runtime.type_defs import (
        ConverseStreamRequestTypeDef,
        GuardrailStreamConfigurationTypeDef,
        InferenceConfigurationTypeDef,
        MessageTypeDef,
    )

type ClientFactory = Callable[[str, Config], "BedrockRuntimeClient"]
"""Builds a client: (region, timeouts and attempts) -> client."""

DEFAULT_MAX_TOKENS = 4096
"""The output cap of a request that names none: no call may run up an open bill."""

TIMEOUT_LADDER_SECONDS = (1, 2, 3, 5, 8, 12, 18, 25, 40, 60, 120, 300, 900)
"""The read timeouts clients exist for; an attempt gets the longest that fits into its time."""

CONNECT_TIMEOUT_SECONDS = 1

_MAX_TEMPERATURE = 1.0
_FIRST_USER_TEXT = "."

_STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}

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
            yield from chat_events(candidate.name, events)

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


def converse_request(candidate: Candidate, request: ChatRequest) -> "ConverseStreamRequestTypeDef":
    """Return the ConverseStream parameters of a request to a candidate.

    Bedrock refuses blank texts, two turns of one role in a row and a conversation that an assistant
    opens, so blanks are dropped, such turns joined, and a user turn put first.

    Raises:
        UpstreamRejectedError: the conversation holds no text at all.
    """
    turns = [turn for turn in request.turns if turn.text.strip()]
    if not turns:
        raise UpstreamRejectedError(f"{candidate.name}: a conversation without text")
    system = [text for text in request.system if text.strip()]
    if not candidate.capabilities.system:
        turns = [said("user", text) for text in system] + turns
        system = []
    converse: ConverseStreamRequestTypeDef = {
        "modelId": candidate.invoke_id,
        "messages": _messages(turns),
        "inferenceConfig": _inference_config(candidate, request),
    }
    if system:
        converse["system"] = [{"text": text} for text in system]
    if candidate.guardrail_id:
        converse["guardrailConfig"] = _guardrail(candidate.guardrail_id)
    return converse


def chat_events(candidate: str, events: Iterable[Mapping[str, object]]) -> Iterator[ChatEvent]:
    """Yield Bedrock's events in our terms, in the order `TextDelta`..., `Stop`, `Metered`.

    Blocks are told by their type: reasoning comes first where a model thinks, and is left out.

    Raises:
        UpstreamUnavailableError: the stream ended early, or the answer is empty without a reason.
    """
    spoke = False
    reason: str | None = None
    usage: Usage | None = None
    for event in events:
        match event:
            case {"contentBlockDelta": {"delta": {"text": str(text)}}} if text:
                spoke = True
                yield TextDelta(text)
            case {"messageStop": {"stopReason": str(stop_reason)}}:
                reason = stop_reason
            case {"metadata": {"usage": {"inputTokens": int(), "outputTokens": int()} as counts}}:
                usage = _usage(counts)
    if reason is None or usage is None:
        raise UpstreamUnavailableError(f"{candidate}: the answer ended early")
    yield Stop(_stop_reason(candidate, reason, spoke=spoke))
    yield Metered(usage)


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


def _messages(turns: Iterable[Turn]) -> "list[MessageTypeDef]":
    """Join turns of one role and see to it that the user opens."""
    joined: list[tuple[Role, list[str]]] = []
    for turn in turns:
        if not joined and turn.role == "assistant":
            joined.append(("user", [_FIRST_USER_TEXT]))
        if joined and joined[-1][0] == turn.role:
            joined[-1][1].append(turn.text)
        else:
            joined.append((turn.role, [turn.text]))
    if joined and joined[-1][0] == "assistant":
        # Claude refuses a prefill that ends in white space.
        joined[-1][1][-1] = joined[-1][1][-1].rstrip()
    return [{"role": role, "content": [{"text": text} for text in texts]} for role, texts in joined]


def _inference_config(
    candidate: Candidate, request: ChatRequest
) -> "InferenceConfigurationTypeDef":
    """Return the limits and sampling; maxTokens is always there, what cannot be sampled is not."""
    wanted = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    config: InferenceConfigurationTypeDef = {"maxTokens": min(wanted, candidate.max_output_tokens)}
    if candidate.capabilities.sampling:
        if request.temperature is not None:
            # OpenAI's scale ends at 2, Bedrock's at 1.
            config["temperature"] = min(request.temperature, _MAX_TEMPERATURE)
        # 1 changes nothing, and Claude refuses the pair:
        # https://github.com/aws-samples/bedrock-access-gateway/issues/191
        if request.top_p is not None and request.top_p < 1:
            config["topP"] = request.top_p
    stop = [text for text in request.stop if text]
    if stop:
        config["stopSequences"] = stop
    return config


def _guardrail(guardrail_id: str) -> "GuardrailStreamConfigurationTypeDef":
    """Split `id:version`, where the id may be an ARN with colons of its own."""
    match = re.fullmatch(r"(.+):(\d+|DRAFT)", guardrail_id)
    identifier, version = match.groups() if match else (guardrail_id, "DRAFT")
    return {"guardrailIdentifier": identifier, "guardrailVersion": version}


def _usage(counts: Mapping[str, object]) -> Usage:
    """Read the token counts; the cached ones are missing where a model has no cache."""
    known = {name: count for name, count in counts.items() if isinstance(count, int)}
    return Usage(
        input=known["inputTokens"],
        output=known["outputTokens"],
        cache_read=known.get("cacheReadInputTokens", 0),
        cache_write=known.get("cacheWriteInputTokens", 0),
    )


def _stop_reason(candidate: str, reason: str, *, spoke: bool) -> StopReason:
    """Translate a stop reason; a malformed or unknown one counts as `stop` once there is text."""
    known = _STOP_REASONS.get(reason)
    if not spoke and (known is None or reason == "end_turn"):
        raise UpstreamUnavailableError(f"{candidate}: an answer without text")
    return known or "stop"


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
