"""The classifier's clients over real connections."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.config import Config

from classifier.clients import Clients

REGION = "ap-northeast-1"


class Server(ThreadingHTTPServer):
    """Answers whatever it is asked with nothing much, and counts connections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0

    def process_request(self, request: Any, client_address: Any) -> None:
        """Count one more."""
        self.connections += 1
        super().process_request(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        settings = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{running.server_port}",
            "AWS_ACCESS_KEY_ID": "loopback",
            "AWS_SECRET_ACCESS_KEY": "loopback",
            "AWS_DEFAULT_REGION": REGION,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield running
        running.shutdown()
        thread.join()


ASKS: list[Callable[[Clients], object]] = [
    lambda clients: clients.dynamodb(1.0).list_tables(),
    lambda clients: clients.sqs().list_queues(),
]


@pytest.mark.parametrize("ask", ASKS, ids=["dynamodb", "sqs"])
def test_a_client_keeps_its_connection_until_it_is_told_to_connect_anew(
    server: Server, ask: Callable[[Clients], object]
) -> None:
    clients = Clients()
    for _ in range(2):
        ask(clients)
    assert server.connections == 1

    clients.disconnect()

    for _ in range(2):
        ask(clients)
    assert server.connections == 2
    clients.disconnect()


@pytest.mark.usefixtures("server")
def test_what_is_the_same_is_built_once() -> None:
    clients = Clients()
    assert clients.s3() is clients.s3()
    assert clients.sqs() is clients.sqs()
    assert clients.dynamodb(1.0) is clients.dynamodb(1.0)
    assert clients.dynamodb(1.0) is not clients.dynamodb(0.2)


@pytest.mark.usefixtures("server")
def test_each_waits_as_long_as_it_is_told_to_and_only_s3_tries_again() -> None:
    clients = Clients()
    bedrock = Config(connect_timeout=1, read_timeout=18, retries={"total_max_attempts": 1})
    built: list[Any] = [
        clients.s3(),
        clients.dynamodb(0.2),
        clients.sqs(),
        clients.bedrock("us-west-2", bedrock),
    ]
    told = [
        (one.meta.config.connect_timeout, one.meta.config.read_timeout, attempts(one))
        for one in built
    ]
    assert told == [(2, 10, 3), (0.2, 0.2, 1), (0.5, 1, 1), (1, 18, 1)]
    assert [one.meta.region_name for one in built] == [REGION, REGION, REGION, "us-west-2"]


def attempts(client: Any) -> int:
    number: int = client.meta.config.retries["total_max_attempts"]
    return number


@pytest.mark.usefixtures("server")
def test_threads_that_ask_at_the_same_time_get_the_same_client() -> None:
    clients, found = Clients(), []
    threads = [threading.Thread(target=lambda: found.append(clients.sqs())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(map(id, found))) == 1
