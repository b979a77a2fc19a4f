"""botocore reads back what the loopback server frames."""

import json
from binascii import crc32
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from tests.local import eventstream

encodable = st.characters(exclude_categories=["Cs"])
names = st.text(encodable, min_size=1, max_size=60)
headers = st.dictionaries(names, st.text(encodable, max_size=200), max_size=5)
payloads = st.binary(max_size=2000)


def read(data: bytes, *, step: int | None = None) -> list[tuple[dict[str, str], bytes]]:
    """Let botocore's parser read `data`, `step` bytes at a time."""
    buffer = EventStreamBuffer()
    read_so_far: list[Any] = []
    for start in range(0, len(data), step or len(data)):
        buffer.add_data(data[start : start + (step or len(data))])
        read_so_far += [(message.headers, message.payload) for message in buffer]
    return read_so_far


@given(st.lists(st.tuples(headers, payloads), min_size=1, max_size=4), st.integers(1, 50))
def test_botocore_reads_back_every_frame_however_the_bytes_arrive(
    frames: list[tuple[dict[str, str], bytes]], step: int
) -> None:
    data = b"".join(eventstream.frame(head, payload) for head, payload in frames)

    assert read(data) == frames
    assert read(data, step=step) == frames


@given(headers, payloads, st.data())
def test_a_changed_byte_is_noticed(
    head: dict[str, str], payload: bytes, data: st.DataObject
) -> None:
    frame = bytearray(eventstream.frame(head, payload))
    # Past the prelude: a changed length could also make the parser wait for more bytes.
    place = data.draw(st.integers(12, len(frame) - 1))
    frame[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(ChecksumMismatch):
        read(bytes(frame))


def test_an_event_says_what_it_is() -> None:
    [(head, payload)] = read(eventstream.event("messageStop", {"stopReason": "end_turn"}))

    assert head == {
        ":event-type": "messageStop",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert json.loads(payload) == {"stopReason": "end_turn"}


def test_an_exception_is_no_event() -> None:
    [(head, payload)] = read(eventstream.exception("throttlingException", "slow down"))

    assert head == {
        ":exception-type": "throttlingException",
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    assert json.loads(payload) == {"message": "slow down"}


def test_the_layout_is_the_specified_one() -> None:
    prelude = bytes.fromhex("00000018 00000005")
    head = bytes.fromhex("01 61 07 0000")  # "a", a string, empty
    body = prelude + crc32(prelude).to_bytes(4, "big") + head + b"xyz"

    assert eventstream.frame({"a": ""}, b"xyz") == body + crc32(body).to_bytes(4, "big")
