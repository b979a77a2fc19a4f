"""`make serve`: the router on loopback, with an emulated AWS and an emulated Bedrock."""

import argparse
import json
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.local.artifacts import sample_artifact
from tests.local.gateway import PortTakenError
from tests.local.stack import ARTIFACTS, KEYS_TABLE, POINTER, POINTER_PREFIX, LocalStack

BODY = {"model": "regroup", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}

_PORT, _LAST_PORT = 8080, 65_535
_FOR_ANOTHER_SHELL = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
)

console = Console(highlight=False, markup=False, soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train a small router, serve it until interrupted, and say how to ask it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default=str(_PORT))
    text = parser.parse_args(arguments).port
    if (objection := find_objection(text)) is not None:
        # Said before the training, not after it.
        sys.exit(f"make serve: {objection}")
    stop = threading.Event()
    stop_on_signals(stop)
    with TemporaryDirectory() as scratch:
        with console.status("training a small router on made-up data"):
            artifact, _ = sample_artifact(Path(scratch))
        try:
            with LocalStack(artifact=artifact, port=int(text), streams=True) as stack:
                for line in greeting(
                    stack.url,
                    stack.key,
                    stack.catalog.names,
                    stack.aws.environment(),
                    stack.function.log_path,
                ):
                    console.print(line)
                stop.wait()
        except PortTakenError as error:
            sys.exit(f"make serve: {error}")


def find_objection(port: str) -> str | None:
    """Say why nothing can be served on a port, with a cure; None where it can."""
    if not (port.isascii() and port.isdecimal() and len(port) <= len(str(_LAST_PORT))):
        return f"PORT is {port[:20]!r}; give a number from 1 to {_LAST_PORT}"
    number = int(port)
    if not 1 <= number <= _LAST_PORT:
        return f"PORT is {number}; give a number from 1 to {_LAST_PORT}"
    other = number + 1 if number < _LAST_PORT else _PORT
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except PermissionError:
            return f"port {number} is not yours to take; choose another: make serve PORT={_PORT}"
        except OSError:
            return f"port {number} is taken; choose another: make serve PORT={other}"
    return None


def stop_on_signals(stop: threading.Event) -> None:
    """Set the event on Ctrl-C, on SIGTERM, and when the terminal is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP for whatever it starts.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())


def greeting(
    url: str, key: str, models: Iterable[str], aws: Mapping[str, str], log_path: Path
) -> list[str]:
    """Return the lines that say how to ask; those without a label can be pasted into a shell."""
    ask = f'-H "Authorization: Bearer $KEY" -d {shlex.quote(json.dumps(BODY))}'
    settings = " ".join(f"{name}={shlex.quote(aws[name])}" for name in _FOR_ANOTHER_SHELL)
    return [
        f"serving on {url}; Ctrl-C stops it",
        "models     regroup, regroup-quality, regroup-balanced, regroup-economy,",
        f"           {', '.join(models)}",
        "The models are stand-ins that echo; the router, its cache and its key are real.",
        "",
        "to ask, in another shell:",
        f"  export URL={url} KEY={key}",
        f"  curl -s $URL/v1/chat/completions {ask}",
        "why, asking no model:",
        f"  curl -s $URL/v1/route {ask}",
        f"for `regroup keys --table {KEYS_TABLE}` and"
        f" `--to s3://{ARTIFACTS}/{POINTER_PREFIX}/{POINTER}` in another shell:",
        f"  export {settings}",
        "decision lines:",
        f"  tail -f {shlex.quote(str(log_path))}",
    ]


if __name__ == "__main__":
    main()
