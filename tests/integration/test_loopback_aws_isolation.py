"""One loopback AWS after another: nothing of the first is left for the second."""

import socket

import pytest

from tests.local.aws import LoopbackAws


def test_an_account_starts_empty_whatever_the_last_one_held() -> None:
    with LoopbackAws() as first:
        first.client("sqs").create_queue(QueueName="left-behind")
        first.client("ssm").put_parameter(Name="left", Value="behind", Type="String")
        endpoint = first.endpoint_url
    with LoopbackAws() as second:
        assert "QueueUrls" not in second.client("sqs").list_queues()
        assert second.client("ssm").describe_parameters()["Parameters"] == []

    host, port = endpoint.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
