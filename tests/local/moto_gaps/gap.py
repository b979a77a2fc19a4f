"""One thing that moto lacks: how to see it, and how to make up for it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol
from unittest.mock import patch

from botocore.exceptions import ClientError

from tests.local.proxy_events import ACCOUNT_ID

__all__ = ["ACCOUNT_ID", "ClientFactory", "Gap", "around", "is_missing", "kept", "methods"]


class ClientFactory(Protocol):
    """Makes boto3 clients of one account."""

    def __call__(self, service: str, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Gap:
    """What moto lacks, a probe that says whether it still does, and what closes it.

    The probe asks over HTTP, as Terraform does, and leaves things behind in the account.
    """

    name: str
    is_open: Callable[[ClientFactory], bool]
    close: Callable[[], AbstractContextManager[object]]


def methods(owner: type, **functions: Any) -> AbstractContextManager[object]:
    """Give a class more methods, as long as the context lasts."""
    patched: AbstractContextManager[object] = patch.multiple(owner, create=True, **functions)
    return patched


def around(owner: type, name: str, wrapper: Callable[..., Any]) -> AbstractContextManager[object]:
    """Call `wrapper(plain, self, ...)` for a class's method, as long as the context lasts."""
    plain: Callable[..., Any] = getattr(owner, name)

    @wraps(plain)
    def instead(*arguments: Any, **named: Any) -> Any:
        return wrapper(plain, *arguments, **named)

    return patch.object(owner, name, instead)


def kept(backend: Any, name: str) -> dict[Any, Any]:
    """Return a table that lives as long as the account's state: moto's reset empties it."""
    table: dict[Any, Any] = backend.__dict__.setdefault(f"_kept_{name}", {})
    return table


def is_missing(call: Callable[..., Any], /, **parameters: Any) -> bool:
    """Return whether moto does not know the action: it breaks down, or has no such path."""
    try:
        call(**parameters)
    except ClientError as error:
        return error.response["Error"]["Code"] in {"404", "500"}
    return False
