"""A stand-in's prompt cache: what a model read up to a cache point, it reads again at less.

responder = CachingModels(echo)
"""

import json
import threading
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from tests.local.converse import Reply, Request, Responder

_CHARS_PER_TOKEN = 4


@dataclass(slots=True)
class CachingModels:
    """Answers as `responder` does, and counts what each model has cached; nothing expires."""

    responder: Responder
    _cached: dict[str, set[str]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, model_id: str, request: Request) -> Reply:
        """Answer, with the tokens of the longest prefix known counted as read from the cache."""
        reply = self.responder(model_id, request)
        read, written = 0, 0
        with self._lock:
            known = self._cached.setdefault(model_id, set())
            for name, tokens in _prefixes(request):
                if name in known:
                    read = max(read, tokens)
                else:
                    known.add(name)
                    written = max(written, tokens)
        written = max(0, written - read)
        plain = max(0, reply.input_tokens - read - written)
        return replace(
            reply, input_tokens=plain, cache_read_tokens=read, cache_write_tokens=written
        )


def _prefixes(request: Request) -> list[tuple[str, int]]:
    """Return the digest and size of all that lies before each cache point."""
    blocks: list[Any] = list(request.get("toolConfig", {}).get("tools", []))
    blocks += request.get("system", [])
    for message in request["messages"]:
        blocks += message["content"]
    found, passed = [], ""
    for block in blocks:
        if "cachePoint" in block:
            found.append((sha256(passed.encode()).hexdigest(), len(passed) // _CHARS_PER_TOKEN))
        else:
            passed += json.dumps(block, sort_keys=True)
    return found
