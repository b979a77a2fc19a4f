"""The smoke test: what a sound deployment shows, and what is said of each way to be broken."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from regroup.errors import StoreError
from regroup.ports import Clock
from tests.local.fakes import FakeClock
from training.smoke import LINE_SECONDS, Call, Check, Reply, Result, World, smoke

TOKEN, WRONG = "rg-good", "rg-wrong"
CANARY = "canary0123"
DIGEST = "d" * 64
ID = "0123abcd"
LINE = json.dumps({"event": "decision", "decision_id": ID, "status": 200})
DRY_LINE = json.dumps({"event": "decision", "decision_id": "another", "dry_run": True})

HEALTH = ("GET", "/healthz")
CHAT = ("POST", "/v1/chat/completions")
ROUTE = ("POST", "/v1/route")
MODELS = ("GET", "/v1/models")


def reply(status: int, body: object = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, json.dumps(body).encode())


def answer(cache: str, content: object = "Blue.") -> Reply:
    return reply(
        200,
        {"choices": [{"message": {"content": content}}]},
        x_regroup_decision_id=ID,
        x_regroup_cache=cache,
        x_regroup_model="haiku",
    )


def refusal(status: int, code: str) -> Reply:
    return reply(status, {"error": {"code": code, "message": "No."}})


type Answers = dict[tuple[str, str], list[Reply | OSError]]


def sound() -> Answers:
    """What a deployment with a router says."""
    return {
        HEALTH: [reply(200, {"status": "ok", "artifact": DIGEST})],
        CHAT: [answer("miss"), answer("memory")],
        ROUTE: [reply(200, {"routed_model": "haiku", "reason": "learned"})],
        MODELS: [refusal(401, "invalid_api_key")],
    }


@dataclass
class Deployment:
    """Answers as a test says; its log is filled once so much time has passed."""

    answers: Answers = field(default_factory=sound)
    lines: list[str] = field(default_factory=lambda: [DRY_LINE, LINE])
    late_seconds: float = 5.0
    log_error: StoreError | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    calls: list[Call] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)

    def send(self, call: Call) -> Reply:
        self.calls.append(call)
        self.clock.advance(0.25)
        found = self.answers[(call.method, call.path)].pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    def search(self, pattern: str) -> Iterable[str]:
        """Return every line: the emulated CloudWatch knows no pattern of JSON fields either."""
        if self.log_error is not None:
            raise self.log_error
        self.patterns.append(pattern)
        return self.lines if self.clock.monotonic >= 1_000.0 + self.late_seconds else []

    def checks(self, model: str = "regroup") -> dict[str, Check]:
        clock = Clock(wall=lambda: self.clock.wall, monotonic=lambda: self.clock.monotonic)
        world = World(self.send, self.search, clock, self.clock.advance)
        found = smoke(world, token=TOKEN, wrong_token=WRONG, model=model, canary=CANARY)
        return {one.what: one for one in found}


def failed(checks: dict[str, Check]) -> set[str]:
    found = {one.what for one in checks.values() if one.result is Result.FAILED}
    # Whoever fails says what to do, and nobody else does.
    assert found == {one.what for one in checks.values() if one.cure}
    return found


def test_a_sound_deployment_passes_every_check() -> None:
    deployment = Deployment()
    checks = deployment.checks()

    assert {one.result for one in checks.values()} == {Result.OK}
    assert len(checks) == 9
    assert checks["a chat is answered"].ms == pytest.approx(250)
    assert checks["GET /healthz"].saw == "200, router dddddddddddd"
    assert "haiku" in checks["POST /v1/route"].saw


def test_the_same_chat_is_sent_twice_and_holds_the_canary() -> None:
    deployment = Deployment()
    deployment.checks("regroup-economy")
    first, second = (call for call in deployment.calls if call.path == CHAT[1])

    assert first == second
    assert first.body is not None
    assert first.body["model"] == "regroup-economy"
    assert CANARY in str(first.body["messages"])


def test_each_request_has_its_key_and_the_open_path_none() -> None:
    deployment = Deployment()
    deployment.checks()

    tokens = {call.path: call.token for call in deployment.calls}
    assert tokens == {HEALTH[1]: None, CHAT[1]: TOKEN, ROUTE[1]: TOKEN, MODELS[1]: WRONG}
    assert TOKEN not in repr(deployment.calls)


def test_the_line_is_looked_for_by_its_id_until_it_comes() -> None:
    deployment = Deployment(late_seconds=30)
    arrives = deployment.checks()["its decision line arrives"]

    assert arrives.result is Result.OK
    assert arrives.ms is not None
    assert 20_000 < arrives.ms < 40_000
    assert deployment.patterns[0] == f'{{ $.event = "decision" && $.decision_id = "{ID}" }}'
    assert deployment.patterns[-1] == f'"{CANARY}"'


def broken(place: tuple[str, str], *replies: Reply | OSError) -> Deployment:
    return Deployment({**sound(), place: list(replies)})


@pytest.mark.parametrize(
    ("deployment", "what", "saw", "cure"),
    [
        (broken(HEALTH, refusal(500, "internal_error")), "GET /healthz", "500 int", "log group"),
        (
            broken(HEALTH, reply(200, {"status": "degraded", "artifact": DIGEST})),
            "GET /healthz",
            "degraded",
            "artifact rejected",
        ),
        (
            broken(CHAT, refusal(401, "invalid_api_key"), answer("memory")),
            "a chat is answered",
            "401 invalid_api_key",
            "--keys-table",
        ),
        (
            broken(CHAT, answer("miss"), refusal(503, "no_answer")),
            "the same chat is answered again",
            "503 no_answer",
            "regroup doctor",
        ),
        (
            broken(CHAT, answer("miss", ""), answer("memory")),
            "a chat is answered",
            "200, an empty answer of haiku",
            "regroup doctor",
        ),
        (
            broken(CHAT, answer("miss", ["alien"]), answer("memory")),
            "a chat is answered",
            "200, an empty answer",
            "regroup doctor",
        ),
        (
            broken(CHAT, answer("miss"), answer("miss")),
            "its prediction is remembered",
            "miss",
            "once more",
        ),
        (
            broken(CHAT, answer("miss"), answer("bypassed")),
            "its prediction is remembered",
            "bypassed",
            "table of predictions",
        ),
        (
            broken(CHAT, answer("miss"), answer("unused")),
            "its prediction is remembered",
            "unused",
            "PredictionFailed",
        ),
        (
            broken(ROUTE, refusal(429, "rate_limited")),
            "POST /v1/route",
            "429 rate_limited",
            "in a minute",
        ),
        (broken(ROUTE, reply(200, {})), "POST /v1/route", "no model", "--url"),
        (
            broken(ROUTE, OSError("connection reset")),
            "POST /v1/route",
            "no answer: connection reset",
            "network",
        ),
        (broken(MODELS, reply(200, {})), "a wrong key is refused", "200", "open to everybody"),
        (
            broken(MODELS, refusal(403, "forbidden")),
            "a wrong key is refused",
            "403 forbidden",
            "auth = iam",
        ),
        (
            Deployment(late_seconds=LINE_SECONDS + 5),
            "its decision line arrives",
            "not within 60 s",
            "--log-group",
        ),
        (
            Deployment(lines=[LINE[:-1] + f', "query": "{CANARY}"}}']),
            "no line holds the prompt",
            "lines with a word of it: 1",
            "LOG_LEVEL",
        ),
        (
            Deployment(lines=[LINE, f"Traceback: ValueError({CANARY})"]),
            "no line holds the prompt",
            "lines with a word of it: 1",
            "LOG_LEVEL",
        ),
        (
            Deployment(log_error=StoreError("log group x: there is no such log group")),
            "its decision line arrives",
            "cannot be read",
            "no such log group",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_way_to_be_broken_fails_one_check_and_says_what_to_do(
    deployment: Deployment, what: str, saw: str, cure: str
) -> None:
    checks = deployment.checks()

    assert failed(checks) == {what}
    assert saw in checks[what].saw
    assert cure in checks[what].cure


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503, 504, 599])
def test_whatever_status_comes_in_an_answers_place_has_a_cure(status: int) -> None:
    checks = broken(CHAT, refusal(status, "x"), refusal(status, "x")).checks()

    assert failed(checks) == {"a chat is answered", "the same chat is answered again"}
    assert checks["its prediction is remembered"].result is Result.NOT_MADE
    assert checks["its decision line arrives"].result is Result.NOT_MADE


def test_without_a_router_the_default_answers_and_that_is_said_and_no_failure() -> None:
    deployment = broken(CHAT, answer("unused"), answer("unused"))
    deployment.answers[HEALTH] = [reply(200, {"status": "ok", "artifact": None})]
    checks = deployment.checks()

    assert failed(checks) == set()
    saw = checks["its prediction is remembered"].saw
    assert saw == "unused: no router is published yet: DEFAULT_CANDIDATE answers"


def test_a_candidate_that_is_named_is_not_routed_and_that_is_no_failure() -> None:
    checks = broken(CHAT, answer("unused"), answer("unused")).checks("haiku")

    assert failed(checks) == set()
    assert "haiku was named" in checks["its prediction is remembered"].saw


def test_where_nothing_answers_nobody_waits_five_times() -> None:
    deployment = broken(HEALTH, OSError("name or service not known"))
    checks = deployment.checks()

    assert failed(checks) == {"GET /healthz"}
    assert checks["GET /healthz"].saw == "no answer: name or service not known"
    assert checks["all else"].result is Result.NOT_MADE
    assert len(deployment.calls) == 1
    assert deployment.patterns == []


def test_an_answer_without_a_decision_id_leaves_nothing_to_look_for() -> None:
    nameless = replace(answer("miss"), headers={"x-regroup-cache": "miss"})
    deployment = broken(CHAT, nameless, answer("memory"))
    checks = deployment.checks()

    assert failed(checks) == {"its x-regroup-decision-id"}
    assert checks["no line holds the prompt"].result is Result.NOT_MADE
    assert deployment.patterns == []


def test_a_prompt_in_the_log_is_found_even_where_the_line_never_comes() -> None:
    deployment = Deployment(lines=[f"oops {CANARY}"])
    assert failed(deployment.checks()) == {"its decision line arrives", "no line holds the prompt"}


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 100_000, b'"text"', b"[]", b"null", b"5"])
@pytest.mark.parametrize("place", [HEALTH, CHAT, ROUTE])
def test_an_alien_body_fails_a_check_and_breaks_nothing(
    place: tuple[str, str], body: bytes
) -> None:
    deployment = Deployment()
    for position, one in enumerate(deployment.answers[place]):
        assert isinstance(one, Reply)
        deployment.answers[place][position] = replace(one, body=body)
    assert failed(deployment.checks())


@pytest.mark.parametrize(
    "lines",
    [["not JSON", "[]", "null", "[" * 100_000], [DRY_LINE], [LINE.replace("decision", "x")]],
)
def test_a_line_that_is_not_the_decisions_is_not_taken_for_it(lines: list[str]) -> None:
    assert failed(Deployment(lines=lines).checks()) == {"its decision line arrives"}


def test_what_a_stranger_sends_cannot_steer_the_terminal() -> None:
    hostile: list[Callable[[], Any]] = [
        lambda: broken(ROUTE, refusal(500, "\x1b[2J" + "x" * 500)),
        lambda: broken(ROUTE, reply(200, {"routed_model": "\x1b[2J", "reason": "\x07"})),
        lambda: broken(ROUTE, OSError("\x1b[2J")),
    ]
    for make in hostile:
        saw = make().checks()["POST /v1/route"].saw
        assert saw.isprintable()
        assert len(saw) < 200
