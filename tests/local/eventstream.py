"""Writes `application/vnd.amazon.eventstream` frames; botocore only reads them.

A frame is: total length, headers length and their CRC (the prelude), the headers, the payload, and
a CRC over all before it. Numbers are big-endian.
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import json
from binascii import crc32
from collections.abc import Mapping
from struct import pack

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7  # the type number of a string header, the only type Bedrock uses
_PRELUDE_AND_CRCS = 16


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame; lengths that do not fit their field are refused with `struct.error`."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = pack("!II", len(head) + len(payload) + _PRELUDE_AND_CRCS, len(head))
    unsigned = lengths + pack("!I", crc32(lengths)) + head + payload
    return unsigned + pack("!I", crc32(unsigned))


def event(event_type: str, payload: Mapping[str, object]) -> bytes:
    """Return the frame of one event with a JSON payload."""
    headers = {
        ":event-type": event_type,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return frame(headers, json.dumps(payload).encode())


def exception(exception_type: str, message: str) -> bytes:
    """Return the frame of an error that breaks a stream off."""
    headers = {
        ":exception-type": exception_type,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps({"message": message}).encode())


def _header(name: str, value: str) -> bytes:
    """Return one string header: name and value, each after its length."""
    raw_name, raw_value = name.encode(), value.encode()
    return pack("!B", len(raw_name)) + raw_name + pack("!BH", _STRING, len(raw_value)) + raw_value
