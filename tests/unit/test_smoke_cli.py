"""`regroup smoke`: what is printed, the status, and what is tidied up."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from regroup.adapters.cloudwatch_logs import LogEvent
from regroup.domain.budget import Budget
from regroup.domain.keys import KeyRecord, parse_token, verify
from regroup.errors import ConfigurationError, StoreError
from regroup.ports import Clock
from tests.local.fakes import FakeClock
from training.http_transport import http_transport
from training.smoke import Call, Reply
from training.smoke_cli import Trial, smoke_app

NOW = 1_790_000_000.0
GROUP = "/aws/lambda/regroup-dev-classifier"
URL = "https://abc.execute-api.ap-northeast-1.amazonaws.com/live"


@dataclass
class Keys:
    """A table of keys in memory, which may fail."""

    records: dict[str, KeyRecord] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    put_fails: bool = False
    revoke_fails: bool = False

    def put(self, key_id: str, record: KeyRecord) -> None:
        if self.put_fails:
            raise StoreError("the key table did not take the key") from OSError()
        self.records[key_id] = record

    def revoke(self, key_id: str) -> bool:
        if self.revoke_fails:
            raise StoreError("the key table did not take the revocation")
        self.revoked.append(key_id)
        return key_id in self.records


@dataclass
class Logs:
    """A log group in memory."""

    events: list[LogEvent] = field(default_factory=list)
    searches: list[tuple[str, str, float]] = field(default_factory=list)

    def search(self, group: str, pattern: str, *, since: float) -> Iterator[LogEvent]:
        self.searches.append((group, pattern, since))
        yield from self.events


@dataclass
class Post:
    """The command with fakes around it."""

    keys: Keys = field(default_factory=Keys)
    logs: Logs = field(default_factory=Logs)
    clock: FakeClock = field(default_factory=FakeClock)
    answer: Callable[[Call], Reply] | None = None
    sent: list[Call] = field(default_factory=list)

    def smoke(self) -> Result:
        keys: Any = self.keys
        logs: Any = self.logs
        trial = Trial(
            keys=lambda _: keys,
            logs=lambda: logs,
            transport=lambda _: self._send,
            clock=Clock(wall=lambda: self.clock.wall, monotonic=lambda: self.clock.monotonic),
            sleep=self.clock.advance,
        )
        words = ["--url", URL, "--keys-table", "keys", "--log-group", GROUP]
        return CliRunner(env={"COLUMNS": "250"}).invoke(smoke_app, words, obj=trial)

    def _send(self, call: Call) -> Reply:
        self.sent.append(call)
        return (self.answer or self._sound)(call)

    def _sound(self, call: Call) -> Reply:
        """Answer as a deployment whose keys lie in the table."""
        if call.path == "/healthz":
            return _reply(200, {"status": "ok", "artifact": None})
        token = parse_token(call.token or "")
        record = None if token is None else self.keys.records.get(token.key_id)
        if token is None or record is None or not verify(record, token.secret, self.clock.wall):
            return _reply(401, {"error": {"code": "invalid_api_key"}})
        if call.path == "/v1/route":
            return _reply(200, {"routed_model": "haiku", "reason": "no_artifact"})
        line = json.dumps({"event": "decision", "decision_id": "d1"})
        self.logs.events.append(LogEvent(self.clock.wall, line))
        headers = {"x-regroup-decision-id": "d1", "x-regroup-cache": "unused"}
        return _reply(200, {"choices": [{"message": {"content": "Blue."}}]}, headers)


def _reply(status: int, body: object, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, headers or {}, json.dumps(body).encode())


@pytest.fixture
def post() -> Post:
    return Post()


def row(result: Result, first: str) -> str:
    return next(line for line in result.stdout.splitlines() if line.startswith(first))


def test_where_all_is_well_every_row_is_ok_and_the_status_is_zero(post: Post) -> None:
    result = post.smoke()

    assert result.exit_code == 0, result.output
    assert "10 of 10 checks are ok, 0 failed" in result.stdout
    assert "no router is published yet" in row(result, "its prediction is remembered")
    assert row(result, "a wrong key is refused").split()[-3:] == ["ok", "401", "0"]


def test_the_key_is_small_short_and_gone_afterwards(post: Post) -> None:
    post.smoke()

    ((key_id, record),) = post.keys.records.items()
    assert record.note == "smoke"
    assert record.budget == Budget(usd_micros=100_000)
    assert record.expires_at == NOW + 3_600
    assert post.keys.revoked == [key_id]


def test_the_wrong_key_is_the_right_ones_id_with_another_secret(post: Post) -> None:
    post.smoke()

    wrong = parse_token(next(one.token or "" for one in post.sent if one.path == "/v1/models"))
    good = parse_token(next(one.token or "" for one in post.sent if one.path == "/v1/route"))
    assert wrong is not None
    assert good is not None
    assert wrong.key_id == good.key_id
    assert wrong.secret != good.secret


def test_neither_key_is_printed(post: Post) -> None:
    output = post.smoke().output
    assert all(one.token not in output for one in post.sent if one.token)


def test_the_log_is_searched_from_before_the_first_request(post: Post) -> None:
    post.smoke()
    assert {(group, since) for group, _, since in post.logs.searches} == {(GROUP, NOW - 300)}


def test_a_check_that_fails_makes_the_status_one_and_says_what_to_do(post: Post) -> None:
    post.answer = lambda call: (
        _reply(503, {"error": {"code": "no_answer"}})
        if call.path == "/v1/chat/completions"
        else post._sound(call)
    )
    result = post.smoke()

    assert result.exit_code == 1
    assert row(result, "a chat is answered").split()[4:7] == ["FAILED", "503", "no_answer"]
    assert "a chat is answered: `regroup doctor`" in result.stdout
    assert "2 failed" in result.stdout
    assert len(post.keys.revoked) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_key_is_revoked_whatever_happens(post: Post, error: type[BaseException]) -> None:
    def breaks(_: Call) -> Reply:
        raise error

    post.answer = breaks
    result = post.smoke()

    assert result.exit_code != 0
    assert post.keys.revoked == list(post.keys.records)
    assert "the key is revoked" in result.stdout


def test_a_key_that_may_have_been_made_is_revoked_too(post: Post) -> None:
    post.keys.put_fails = True
    result = post.smoke()

    assert isinstance(result.exception, StoreError)
    assert "(table keys, OSError)" in str(result.exception)
    assert len(post.keys.revoked) == 1
    assert post.sent == []


def test_a_key_that_cannot_be_revoked_is_a_failure_with_the_command_that_does_it(
    post: Post,
) -> None:
    post.keys.revoke_fails = True
    result = post.smoke()

    (key_id,) = post.keys.records
    assert result.exit_code == 1
    assert f"regroup keys revoke {key_id} --table keys" in result.stdout


# Requests over HTTP


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.strip("/").replace("live/", "")
        if name == "hangup":
            return
        self.send_response(int(name))
        self.send_header("Location", "/live/200")
        self.send_header("X-Key", self.headers.get("Authorization", "none"))
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    with ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/live"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
@pytest.mark.parametrize("status", [200, 302, 307, 401, 404, 500])
def test_every_status_is_an_answer_and_no_key_follows_a_redirection(
    echo: str, status: int, end: str
) -> None:
    reply = http_transport(echo + end)(Call("GET", f"/{status}", "rg-a-b"))
    assert (reply.status, reply.headers["x-key"], reply.body) == (status, "Bearer rg-a-b", b"body")


def test_without_a_token_no_key_is_sent(echo: str) -> None:
    assert http_transport(echo)(Call("GET", "/200")).headers["x-key"] == "none"


def test_no_answer_is_an_os_error_with_its_reason(echo: str) -> None:
    with pytest.raises(OSError, match="no whole answer"):
        http_transport(echo)(Call("GET", "/hangup"))
    with pytest.raises(OSError, match="refused"):
        http_transport("http://127.0.0.1:1")(Call("GET", "/200"))


@pytest.mark.parametrize(
    "url",
    ["http://example.com/live", "ftp://127.0.0.1", "file:///etc/passwd", "", "x", "http://[:"],
)
def test_an_address_that_would_show_the_key_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="api_url"):
        http_transport(url)
