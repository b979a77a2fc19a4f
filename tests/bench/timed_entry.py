"""Put beside the unpacked function by the benchmark: the deployed handler, timed from inside.

What the runtime client and the loopback Runtime API add is left out, as it is for the peers.
"""

import time
from typing import Any

from classifier.entry import lambda_handler as handle

__all__ = ["lambda_handler"]


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Handle one event and say how long that took."""
    began = time.perf_counter()
    response: dict[str, Any] = handle(event, context)
    return {**response, "handler_ms": 1e3 * (time.perf_counter() - began)}
