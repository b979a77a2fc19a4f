"""Every error the project raises on purpose.

RegroupError
├── ConfigurationError              a setting is missing or contradicts another
├── DataError                       labelled data or a catalog cannot be used
├── ArtifactError
│   ├── ArtifactNotFoundError       no such artifact or part
│   ├── ArtifactCorruptError        size or digest differs from the manifest
│   ├── ArtifactIncompatibleError   right bytes, but not for this reader or catalog
│   ├── PointerConflictError        someone else moved the pointer first
│   └── ReleaseRefusedError         not shown to be good enough to go live
├── StoreError                      a table, queue or bucket did not answer in time
├── RequestError                    the caller can mend it: HTTP status, code and sentence
│   ├── BadRequestError             400
│   ├── UnknownRouteError           404
│   ├── UnknownModelError           404
│   ├── UnknownDecisionError        404
│   ├── TooLargeError               413
│   ├── UnprocessableError          422
│   └── BudgetExhaustedError        429: says when the key may spend again
├── BudgetUnknownError              503: the budget could not be read, and the setting says closed
├── NoAnswerError                   503: every candidate was tried, none answered
├── DeadlineError                   504: the time left cannot hold one more attempt
└── UpstreamError                   one candidate failed; says whether another may do better
    ├── UpstreamThrottledError
    ├── UpstreamTimeoutError
    ├── UpstreamUnavailableError    5xx, a broken connection, an alien answer
    ├── UpstreamDeniedError         access denied, end of life, unknown model
    ├── UpstreamIncapableError      this candidate cannot serve such a request
    └── UpstreamRejectedError       the request itself is malformed: no candidate will take it
"""

from typing import ClassVar


class RegroupError(Exception):
    """The root: catch it to catch everything the project raises on purpose."""


class ConfigurationError(RegroupError):
    """A setting is missing, out of range, or contradicts the artifact."""


class DataError(RegroupError):
    """Labelled data or a catalog cannot be used; the message names file, line and cure."""


class ArtifactError(RegroupError):
    """An artifact or its pointer cannot be used."""


class ArtifactNotFoundError(ArtifactError):
    """No artifact, part or pointer lies at this address."""


class ArtifactCorruptError(ArtifactError):
    """The bytes differ from what the manifest promises, or hold more than data."""


class ArtifactIncompatibleError(ArtifactError):
    """The bytes are as promised, but this reader, encoder or catalog cannot use them."""


class PointerConflictError(ArtifactError):
    """The pointer changed between reading and writing it; read again and decide anew."""


class ReleaseRefusedError(ArtifactError):
    """The artifact is sound, but not shown to be good enough to go live; the message says more."""


class StoreError(RegroupError):
    """A table, queue or bucket failed or did not answer within its own time limit."""


class RequestError(RegroupError):
    """The caller can mend this: the message is written for them and holds no internals."""

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid_request_error"

    def __init__(self, message: str, *, code: str, param: str | None = None) -> None:
        """Keep the machine-readable `code` and the request field `param` beside the sentence."""
        super().__init__(message)
        self.code = code
        self.param = param


class BadRequestError(RequestError):
    """The body is missing, is not JSON, or does not have the shape of a chat request."""


class UnknownRouteError(RequestError):
    """No such path, or not with this method."""

    status = 404


class UnknownModelError(RequestError):
    """`model` names neither a virtual model nor a candidate."""

    status = 404


class UnknownDecisionError(RequestError):
    """No decision of this id was made for this key, or it is forgotten by now."""

    status = 404


class TooLargeError(RequestError):
    """The body is over the gateway's limit."""

    status = 413


class UnprocessableError(RequestError):
    """Well-formed, but nothing here can serve it."""

    status = 422


class BudgetExhaustedError(RequestError):
    """The key's budget of the day cannot hold this request."""

    status = 429
    kind = "insufficient_quota"

    def __init__(self, message: str, *, retry_after_seconds: int | None) -> None:
        """Say when the key may spend again; None: no day's budget holds so much."""
        super().__init__(message, code="budget_exhausted")
        self.retry_after_seconds = retry_after_seconds


class BudgetUnknownError(RegroupError):
    """The budget could not be read, and the deployment answers nobody then."""


class NoAnswerError(RegroupError):
    """Every candidate left by the mask was tried and none answered."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        """Say when trying again is worth it."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineError(RegroupError):
    """The time left before the gateway hangs up cannot hold one more attempt."""


class UpstreamError(RegroupError):
    """One candidate failed.

    `cause` is a short word for logs and metrics; the text of the SDK's error is kept as
    `__cause__` only, because it may quote the prompt.
    """

    cause: ClassVar[str] = "upstream"
    try_another: ClassVar[bool] = True
    """Whether another candidate may answer what this one could not."""
    cools_down: ClassVar[bool] = True
    """Whether this candidate should rest before it is tried again."""


class UpstreamThrottledError(UpstreamError):
    """The account's quota for this candidate is used up for the moment."""

    cause = "throttled"


class UpstreamTimeoutError(UpstreamError):
    """No byte came within the time this attempt was given."""

    cause = "timeout"


class UpstreamUnavailableError(UpstreamError):
    """A 5xx, a broken connection, or an answer that is not what Converse promises."""

    cause = "unavailable"


class UpstreamDeniedError(UpstreamError):
    """Access denied, past its end of life, or unknown in this account: a person must act."""

    cause = "denied"
    cools_down = False


class UpstreamIncapableError(UpstreamError):
    """The request is well-formed, but this candidate cannot serve it."""

    cause = "incapable"
    cools_down = False


class UpstreamRejectedError(UpstreamError):
    """The request itself is malformed: every candidate would refuse it."""

    cause = "rejected"
    try_another = False
    cools_down = False
