"""The guard that keeps tests on this machine."""

import socket

import pytest


def test_a_test_that_connects_beyond_loopback_fails() -> None:
    # An address kept for documentation: nothing answers there. The guard warns before it refuses,
    # and in these tests a warning is an error.
    with socket.socket() as connection, pytest.raises(UserWarning, match=r"192\.0\.2\.1"):
        connection.connect(("192.0.2.1", 80))
