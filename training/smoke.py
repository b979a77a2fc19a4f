"""Whether a deployment works: a few requests to it, and the line that one leaves in its log."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from regroup.errors import StoreError
from regroup.ports import Clock

MAX_TOKENS = 64
LINE_SECONDS = 60.0
"""How long the decision line is waited for."""
_POLL_SECONDS = 2.0

_REMEMBERED = frozenset({"memory", "hit"})
_VIRTUAL = "regroup"
_DECISION_ID = "x-regroup-decision-id"
_LONGEST_QUOTE = 80


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "FAILED"
    NOT_MADE = "not made"
    """What it looks at did not come, and that is another check's failure."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `cure` says what to do where it failed."""

    what: str
    result: Result
    saw: str
    ms: float | None = None
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API; without a token none is sent."""

    method: str
    path: str
    token: str | None = field(default=None, repr=False)
    body: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 (whatever a stranger sent)
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


type Transport = Callable[[Call], Reply]
"""Sends a request; raises OSError where no answer came."""

type LogSearch = Callable[[str], Iterable[str]]
"""From a CloudWatch filter pattern to the lines since the smoke test began; raises StoreError."""


@dataclass(frozen=True, slots=True)
class World:
    """What the smoke test asks of the world."""

    send: Transport
    search: LogSearch
    clock: Clock
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request's answer, or why there is none, and how long it took."""

    reply: Reply | None
    trouble: str
    ms: float

    @property
    def status(self) -> int | None:
        """The HTTP status; None without an answer."""
        return None if self.reply is None else self.reply.status

    def header(self, name: str) -> str:
        """Return a header of the answer, empty where there is none."""
        return "" if self.reply is None else self.reply.headers.get(name, "")

    def find(self, *path: str | int) -> object:
        """Return what lies at a place of the answer's JSON; None where there is nothing."""
        found: Any = None if self.reply is None else self.reply.json
        for step in path:
            try:
                found = found[step]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    @property
    def seen(self) -> str:
        """The answer in a word or two, its text left out."""
        if self.reply is None:
            return f"no answer: {self.trouble}"
        code = self.find("error", "code")
        return f"{self.status} {_quote(code)}" if code else str(self.status)


def smoke(
    world: World, *, token: str, wrong_token: str, model: str, canary: str
) -> Iterator[Check]:
    """Yield the checks one by one; `canary` is a word that nobody else writes."""
    text = f"What colour is a clear sky at noon? One word, please. ({canary})"
    body = {
        "model": model,
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": text}],
    }
    chat = Call("POST", "/v1/chat/completions", token, body)

    health = _exchange(world, Call("GET", "/healthz"))
    yield check_health(health)
    if health.reply is None:
        yield Check("all else", Result.NOT_MADE, "nothing answers at this address")
        return
    first, second = _exchange(world, chat), _exchange(world, chat)
    yield check_answer("a chat is answered", first)
    yield check_decision_id(first)
    yield check_answer("the same chat is answered again", second)
    yield check_cache(second, has_router=bool(health.find("artifact")), model=model)
    yield check_route(_exchange(world, Call("POST", "/v1/route", token, body)))
    yield check_wrong_key(_exchange(world, Call("GET", "/v1/models", wrong_token)))
    yield from check_log(world, first.header(_DECISION_ID), canary)


def check_health(health: Exchange) -> Check:
    """Check that the function starts, and with the router that the pointer names."""
    what = "GET /healthz"
    if health.reply is None:
        cure = "check --url (Terraform's output api_url), the network, and where your DNS points"
        return Check(what, Result.FAILED, health.seen, health.ms, cure)
    if health.status != 200:
        return Check(what, Result.FAILED, health.seen, health.ms, _cure_of(health.status))
    if health.find("status") != "ok":
        cure = (
            "the published router cannot be used here: look at the lines `artifact rejected` in the"
            " log group, and `regroup rollback` brings the one before back"
        )
        return Check(what, Result.FAILED, _quote(health.find("status")), health.ms, cure)
    artifact = health.find("artifact")
    router = f"router {str(artifact)[:12]}" if artifact else "no router is published yet"
    return Check(what, Result.OK, f"200, {router}", health.ms)


def check_answer(what: str, chat: Exchange) -> Check:
    """Check that a model answered, and not with nothing."""
    if chat.status != 200:
        return Check(what, Result.FAILED, chat.seen, chat.ms, _cure_of(chat.status))
    content = chat.find("choices", 0, "message", "content")
    who = _quote(chat.header("x-regroup-model"))
    if not isinstance(content, str) or not content.strip():
        cure = f"ask {who} something by hand, and `regroup doctor`: a model must not answer nothing"
        return Check(what, Result.FAILED, f"200, an empty answer of {who}", chat.ms, cure)
    return Check(what, Result.OK, f"200, {who} answered", chat.ms)


def check_decision_id(chat: Exchange) -> Check:
    """Check that an answer can be judged afterwards."""
    what = f"its {_DECISION_ID}"
    if chat.status != 200:
        return Check(what, Result.NOT_MADE, "there is no answer")
    if found := chat.header(_DECISION_ID):
        return Check(what, Result.OK, _quote(found))
    cure = "something between here and the function drops headers: look at proxies and your domain"
    return Check(what, Result.FAILED, "no such header", cure=cure)


def check_cache(chat: Exchange, *, has_router: bool, model: str) -> Check:
    """Check that the second prediction of a prompt was not made again."""
    what = "its prediction is remembered"
    if chat.status != 200:
        return Check(what, Result.NOT_MADE, "there is no answer")
    cache = chat.header("x-regroup-cache")
    if cache in _REMEMBERED:
        return Check(what, Result.OK, cache)
    if cache == "unused" and not model.startswith(_VIRTUAL):
        return Check(what, Result.OK, f"unused: {_quote(model)} was named, nothing is routed")
    if cache == "unused" and not has_router:
        saw = "unused: no router is published yet: DEFAULT_CANDIDATE answers"
        return Check(what, Result.OK, saw)
    return Check(what, Result.FAILED, _quote(cache) or "no such header", cure=_cure_of_cache(cache))


def _cure_of_cache(cache: str) -> str:
    match cache:
        case "unused":
            return (
                "a router is published and was not asked: run this once more where it was published"
                " a minute ago, else look for the metric PredictionFailed"
            )
        case "bypassed":
            return "the table of predictions did not answer in time: look at its throttles and IAM"
        case _:
            return (
                "run this once more, as another instance may have answered; where it stays, the"
                " function cannot write the table of predictions"
            )


def check_route(route: Exchange) -> Check:
    """Check that a decision can be had without an answer."""
    what = "POST /v1/route"
    if route.status != 200:
        return Check(what, Result.FAILED, route.seen, route.ms, _cure_of(route.status))
    routed, reason = route.find("routed_model"), route.find("reason")
    if not routed:
        cure = "the answer is not the router's: does --url name this deployment?"
        return Check(what, Result.FAILED, "200, no model in it", route.ms, cure)
    return Check(what, Result.OK, f"200, {_quote(routed)} ({_quote(reason)})", route.ms)


def check_wrong_key(refused: Exchange) -> Check:
    """Check that a key with a wrong secret opens nothing."""
    what = "a wrong key is refused"
    if refused.status == 401:
        return Check(what, Result.OK, "401", refused.ms)
    cure = _cure_of(refused.status)
    if refused.status == 200:
        cure = "the API is open to everybody: apply Terraform again, nothing checks keys"
    return Check(what, Result.FAILED, refused.seen, refused.ms, cure)


def check_log(world: World, decision_id: str, canary: str) -> Iterator[Check]:
    """Check that the decision line arrives, and that no line holds a word of the prompt."""
    arrives, silent = "its decision line arrives", "no line holds the prompt"
    if not decision_id:
        yield Check(arrives, Result.NOT_MADE, "there is no decision id")
        yield Check(silent, Result.NOT_MADE, "there is no decision id")
        return
    started = world.clock.monotonic()
    try:
        lines = _await_lines(world, decision_id)
        ms = 1000 * (world.clock.monotonic() - started)
        leaks = {one for one in (*lines, *world.search(f'"{canary}"')) if canary in one}
    except StoreError as error:
        yield Check(arrives, Result.FAILED, "the log cannot be read", cure=str(error))
        yield Check(silent, Result.NOT_MADE, "the log cannot be read")
        return
    if lines:
        yield Check(arrives, Result.OK, "in the log group", ms)
    else:
        cure = (
            "check --log-group (Terraform's output classifier_log_group), and that the function's"
            " role may write to it"
        )
        yield Check(arrives, Result.FAILED, f"not within {LINE_SECONDS:.0f} s", ms, cure)
    if leaks:
        cure = (
            "prompts stand in the log: is LOG_LEVEL or POWERTOOLS_LOGGER_LOG_EVENT set on the"
            " function? Unset it, and delete what was written"
        )
        yield Check(silent, Result.FAILED, f"lines with a word of it: {len(leaks)}", cure=cure)
    elif lines:
        yield Check(silent, Result.OK, "a word of it was looked for")
    else:
        yield Check(silent, Result.NOT_MADE, "there is no line to look at")


def _await_lines(world: World, decision_id: str) -> list[str]:
    pattern = f'{{ $.event = "decision" && $.decision_id = {json.dumps(decision_id)} }}'
    deadline = world.clock.monotonic() + LINE_SECONDS
    while True:
        lines = [one for one in world.search(pattern) if _is_decision(one, decision_id)]
        if lines or world.clock.monotonic() >= deadline:
            return lines
        world.sleep(_POLL_SECONDS)


def _is_decision(line: str, decision_id: str) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    wanted = {"event": "decision", "decision_id": decision_id}
    return isinstance(found, dict) and wanted.items() <= found.items()


def _exchange(world: World, call: Call) -> Exchange:
    started = world.clock.monotonic()
    try:
        reply, trouble = world.send(call), ""
    except OSError as error:
        reply, trouble = None, _quote(error)
    return Exchange(reply, trouble, 1000 * (world.clock.monotonic() - started))


def _cure_of(status: int | None) -> str:
    """Return what to do about a status that should have been another."""
    match status:
        case None:
            return "the connection broke off: run this once more, then look at the network"
        case 401:
            return (
                "the new key is not known there: --keys-table must be this deployment's"
                " (Terraform's output keys_table), and AWS_DEFAULT_REGION its region"
            )
        case 403:
            return (
                "the gateway or its firewall refused: a deployment with auth = iam takes no keys,"
                " and one with vpc_endpoint_ids only calls from inside"
            )
        case 404:
            return "--url must be Terraform's output api_url, with its stage, and --model be known"
        case 429:
            return "the deployment is asked too much just now: run this once more in a minute"
        case 503:
            return "`regroup doctor` with Terraform's output catalog_uri says which models answer"
        case 504:
            return "run this once more: a first start can be slow; then `regroup doctor`"
        case _:
            return (
                "the function fails or answers oddly: the newest lines of its log group say why"
                " (CloudWatch console, or `aws logs tail`)"
            )


def _quote(value: object) -> str:
    """Return a stranger's word so that it cannot steer a terminal."""
    text = "" if value is None else str(value)
    return "".join(one if one.isprintable() else "?" for one in text[:_LONGEST_QUOTE])
