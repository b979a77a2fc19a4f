"""The pointer: which artifact is live, which one challenges it, and why."""

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from regroup.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    DataError,
    ReleaseRefusedError,
)

SCHEMA = 1

type Mode = Literal["off", "shadow", "canary"]


@dataclass(frozen=True, slots=True)
class Pointer:
    """Names the live artifact by its digest."""

    champion: str
    challenger: str | None = None
    share: float = 0.0
    """The part of conversations the challenger decides in canary mode, in [0, 1]."""
    mode: Mode = "off"
    """`shadow`: the challenger predicts beside the champion; `canary`: it decides its share."""
    previous: str | None = None
    """The champion before this one: what a rollback goes back to."""
    who: str = ""
    why: str = ""
    schema: int = SCHEMA

    def promote(self, digest: str, *, who: str, why: str) -> "Pointer":
        """Return the pointer after `digest` became champion."""
        previous = self.previous if digest == self.champion else self.champion
        return replace(
            self,
            champion=digest,
            challenger=None,
            share=0.0,
            mode="off",
            previous=previous,
            who=who,
            why=why,
        )

    def challenge(self, digest: str, *, mode: Mode, share: float, who: str, why: str) -> "Pointer":
        """Return the pointer after `digest` became challenger, in place of any other.

        Raises:
            DataError: no such mode, or a share that is not in (0, 1] for a canary, not 0 for a
                shadow.
            ReleaseRefusedError: `digest` is the champion.
        """
        if mode not in ("shadow", "canary"):
            raise DataError(f"the mode is {mode!r}: a challenger's is shadow or canary")
        if mode == "canary" and not 0.0 < share <= 1.0:
            raise DataError(f"the share is {share}: a canary's is above 0 and at most 1")
        if mode == "shadow" and share != 0.0:
            raise DataError(f"the share is {share}: a shadow decides nothing, so it is 0")
        if digest == self.champion:
            raise ReleaseRefusedError(f"{digest} is the champion: it cannot challenge itself")
        return replace(self, challenger=digest, share=share, mode=mode, who=who, why=why)

    def withdraw(self, *, who: str, why: str) -> "Pointer":
        """Return the pointer without its challenger.

        Raises:
            ArtifactNotFoundError: it has none.
        """
        if self.challenger is None:
            raise ArtifactNotFoundError("there is no challenger to withdraw")
        return replace(self, challenger=None, share=0.0, mode="off", who=who, why=why)

    def rollback(self, *, who: str, why: str) -> "Pointer":
        """Return the pointer with champion and previous changed over, and no challenger.

        Raises:
            ArtifactNotFoundError: there was no champion before this one.
        """
        if self.previous is None or self.previous == self.champion:
            raise ArtifactNotFoundError("there was no champion before this one to roll back to")
        return self.promote(self.previous, who=who, why=why)

    def to_bytes(self) -> bytes:
        """Serialise as `pointer.json`."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()


def read_pointer(content: bytes) -> Pointer:
    """Parse `pointer.json`; fields this version does not know are ignored.

    Raises:
        ArtifactCorruptError: not a pointer, or one of another schema.
    """
    try:
        fields = json.loads(content)
        known = {name: fields[name] for name in Pointer.__dataclass_fields__ if name in fields}
        pointer = Pointer(**known)
        sound = (
            pointer.schema == SCHEMA
            and _is_digest(pointer.champion)
            and all(
                digest is None or _is_digest(digest)
                for digest in (pointer.challenger, pointer.previous)
            )
            and isinstance(pointer.who, str)
            and isinstance(pointer.why, str)
            and 0.0 <= pointer.share <= 1.0
            and pointer.mode in get_args(Mode.__value__)
            and (pointer.mode == "off" or pointer.challenger is not None)
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ArtifactCorruptError("pointer.json is not a pointer") from error
    if not sound:
        raise ArtifactCorruptError("pointer.json is not a pointer this version can follow")
    return pointer


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")
