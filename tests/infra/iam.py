"""Whether statements of a policy allow something: as much of IAM's logic as these policies use.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

type Statement = Mapping[str, Any]
type Context = tuple[tuple[str, str], ...]
"""Condition keys that a request carries, in lower case, with their values."""


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody's wish: an action on a resource."""

    action: str
    resource: str
    context: Context = ()


def is_allowed(statements: Iterable[Statement], request: Request) -> bool:
    """Tell whether some statement allows a request and none denies it."""
    effects = {one["Effect"] for one in statements if applies(one, request)}
    return "Allow" in effects and "Deny" not in effects


def is_denied(statements: Iterable[Statement], request: Request) -> bool:
    """Tell whether a statement denies a request, whatever else allows it."""
    return any(one["Effect"] == "Deny" and applies(one, request) for one in statements)


def applies(statement: Statement, request: Request) -> bool:
    """Tell whether a statement says anything of a request."""
    return (
        any(_matches(one, request.action) for one in listed(statement["Action"]))
        and any(_matches(one, request.resource) for one in listed(statement["Resource"]))
        and all(
            _holds(operator, key, listed(values), request.context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def listed(value: str | Sequence[str]) -> Sequence[str]:
    """Return what a policy may write as one or as many, as many."""
    return [value] if isinstance(value, str) else value


def _matches(pattern: str, value: str) -> bool:
    return fnmatchcase(value, pattern)


_OPERATORS: Mapping[str, Callable[[str | None, Sequence[str]], bool]] = {
    "StringEquals": lambda found, wanted: found in wanted,
    "StringNotEquals": lambda found, wanted: found not in wanted,
    "ArnEquals": lambda found, wanted: any(_matches(one, found or "") for one in wanted),
    "ArnLike": lambda found, wanted: any(_matches(one, found or "") for one in wanted),
    "ArnNotEquals": lambda found, wanted: not any(_matches(one, found or "") for one in wanted),
    "Bool": lambda found, wanted: found in wanted,
    "Null": lambda found, wanted: str(found is None).lower() in wanted,
}


def _holds(operator: str, key: str, values: Sequence[str], context: Context) -> bool:
    return _OPERATORS[operator](dict(context).get(key.lower()), values)
