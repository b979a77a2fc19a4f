"""Small handlers that show what a runtime does: echo, raise, log, hang, die."""

import base64
import json
import os
import sys
import threading
from typing import Any


def echo(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the event and what the process knows of itself."""
    return {
        "event": event,
        "pid": os.getpid(),
        "environment": dict(os.environ),
        "request_id": context.aws_request_id,
        "function_name": context.function_name,
        "memory_mb": int(context.memory_limit_in_mb),
        "arn": context.invoked_function_arn,
        "remaining_ms": context.get_remaining_time_in_millis(),
    }


def fail(event: dict[str, Any], _context: object) -> None:
    """Raise what the event asks for."""
    raise ValueError(event["message"])


def log(event: dict[str, Any], _context: object) -> int:
    """Write `count` lines of 100 characters to stdout and one to stderr."""
    for number in range(event["count"]):
        sys.stdout.write(json.dumps({"number": number}).ljust(100) + "\n")
    sys.stderr.write("to stderr\n")
    return int(event["count"])


def hang(event: dict[str, Any], _context: object) -> str:
    """Answer at once, or never where the event says so."""
    if event.get("hang"):
        threading.Event().wait()
    return "done"


def die(event: dict[str, Any], _context: object) -> int:
    """End the process in the middle of an event where the event says so."""
    if event.get("die"):
        sys.stdout.write("dying\n")
        sys.stdout.flush()
        os._exit(7)
    return os.getpid()


def large(event: dict[str, Any], _context: object) -> str:
    """Return a string of `size_bytes`."""
    return "x" * int(event["size_bytes"])


def meet(event: dict[str, Any], _context: object) -> str:
    """Meet another handler in a named pipe: one alone waits for ever."""
    mode = os.O_WRONLY if event["write"] else os.O_RDONLY
    os.close(os.open(event["fifo"], mode))
    return "met"


def proxy(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer as a Lambda proxy integration: the event itself as the body."""
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", "X-Request-Id": "r-1"},
        "multiValueHeaders": {"Set-Cookie": ["a=1", "b=2"]},
        "body": base64.b64encode(json.dumps(event).encode()).decode(),
        "isBase64Encoded": True,
    }
