"""What a caller is told of an error: status, code, sentence, and nothing about its inside."""

from regroup.errors import (
    BudgetExhaustedError,
    BudgetUnknownError,
    DeadlineError,
    NoAnswerError,
    RegroupError,
    RequestError,
    StoreError,
    UpstreamError,
    UpstreamRejectedError,
    UpstreamTimeoutError,
)
from regroup.openai_answer import error_body


def describe(error: RegroupError) -> tuple[int, dict[str, object]]:
    """Return status and body; sentences are fixed unless they were written for the caller."""
    match error:
        case RequestError():
            body = error_body(str(error), kind=error.kind, code=error.code, param=error.param)
            return error.status, body
        case UpstreamRejectedError():
            sentence, status, code = "The model refused the request as malformed.", 400, "rejected"
        case DeadlineError() | UpstreamTimeoutError():
            sentence, status, code = (
                "No model finished within the time limit; ask for fewer tokens (`max_tokens`).",
                504,
                "timeout",
            )
        case NoAnswerError():
            sentence, status, code = f"No model could answer: {error}.", 503, "no_answer"
        case UpstreamError():
            sentence, status, code = "The model's answer broke off.", 503, "answer_broken"
        case BudgetUnknownError():
            sentence, status, code = (
                "The budget of this key cannot be read now.",
                503,
                "budget_unknown",
            )
        case StoreError():
            sentence, status, code = "A table did not answer.", 503, "store_unavailable"
        case _:
            sentence, status, code = "The router failed.", 500, "internal_error"
    kind = "invalid_request_error" if status == 400 else "server_error"
    return status, error_body(sentence, kind=kind, code=code)


def headers_of(error: RegroupError) -> dict[str, str]:
    """Return the headers that say when trying again is worth it."""
    match error:
        case NoAnswerError() | BudgetExhaustedError() if error.retry_after_seconds is not None:
            return {"retry-after": str(error.retry_after_seconds)}
        case BudgetUnknownError() | StoreError():
            return {"retry-after": "1"}
        case _:
            return {}
