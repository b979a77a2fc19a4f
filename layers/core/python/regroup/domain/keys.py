"""API keys: `rg-<key_id>-<secret>`, of which only a salted hash is ever stored."""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from regroup.domain.budget import NO_LIMITS, Budget

_KEY_ID = re.compile(r"[A-Za-z0-9]{1,32}", re.ASCII)
_TOKEN = re.compile(rf"rg-({_KEY_ID.pattern})-([A-Za-z0-9_]{{32,128}})", re.ASCII)
_KEY_ID_BYTES = 8
_SECRET_BYTES = 32
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the store knows of a key: enough to check a secret, too little to make one.

    `secret_hash` is the hex SHA-256 of the hex salt followed by the secret, so that a shell can
    make a record too: `printf %s "$salt$secret" | sha256sum`.
    """

    salt: str
    secret_hash: str
    expires_at: int | None = None
    """Seconds since 1970; from that second on the key is refused."""
    revoked: bool = False
    note: str = ""
    budget: Budget = NO_LIMITS
    """The most it may use in a day; by default there is no limit."""


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed key, not yet checked against anything."""

    key_id: str
    secret: str = field(repr=False)


def new_key(
    random_bytes: Callable[[int], bytes],
    *,
    expires_at: int | None = None,
    note: str = "",
    budget: Budget = NO_LIMITS,
) -> tuple[str, str, KeyRecord]:
    """Return a new token, its key id and the record to store; the token is never shown again.

    `random_bytes(n)` must come from a cryptographic source such as `secrets.token_bytes`.
    """
    key_id = random_bytes(_KEY_ID_BYTES).hex()
    secret = random_bytes(_SECRET_BYTES).hex()
    salt = random_bytes(_SALT_BYTES).hex()
    record = KeyRecord(
        salt=salt,
        secret_hash=_hash(salt, secret),
        expires_at=expires_at,
        note=note,
        budget=budget,
    )
    return f"rg-{key_id}-{secret}", key_id, record


def is_key_id(text: str) -> bool:
    """Tell whether a key may have this id: letters and digits alone, so that tables can hold more.

    What else lies beside the keys is named with a mark that no key id has.
    """
    return _KEY_ID.fullmatch(text) is not None


def parse_token(text: str) -> Token | None:
    """Split a token, or return None where it is not one; no store needs to be asked then."""
    match = _TOKEN.fullmatch(text)
    return Token(match[1], match[2]) if match else None


def verify(record: KeyRecord, secret: str, now: float) -> bool:
    """Tell whether `secret` belongs to the record and the key still holds at `now`."""
    # The hash is compared first and in constant time: how long a refusal takes tells nothing.
    expected = record.secret_hash.encode()
    right = hmac.compare_digest(_hash(record.salt, secret).encode(), expected)
    return right and not record.revoked and (record.expires_at is None or now < record.expires_at)


def _hash(salt: str, secret: str) -> str:
    # One round of SHA-256 is enough here. Slow hashes (bcrypt, argon2) buy time against guessing
    # what a person chose; a secret of 256 random bits cannot be guessed at any speed, and a slow
    # hash would cost every caller its milliseconds.
    return hashlib.sha256(f"{salt}{secret}".encode()).hexdigest()
