"""`make serve`: the router on loopback, with an emulated AWS and an emulated Bedrock."""

import argparse
import json
import signal
import socket
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.local.artifacts import sample_artifact
from tests.local.gateway import PortTakenError
from tests.local.stack import LocalStack

BODY = {"model": "regroup", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}

console = Console(highlight=False, soft_wrap=True)


def main() -> None:
    """Train a small router, serve it until interrupted, and say how to ask it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    port = parser.parse_args().port
    if not _is_free(port):
        # Said before the training, not after it.
        sys.exit(f"make serve: port {port} is taken; choose another: make serve PORT={port + 1}")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with TemporaryDirectory() as scratch:
        with console.status("training a small router on made-up data"):
            artifact, _ = sample_artifact(Path(scratch))
        try:
            with LocalStack(artifact=artifact, port=port) as stack:
                _greet(stack)
                stop.wait()
        except PortTakenError as error:
            sys.exit(f"make serve: {error}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _greet(stack: LocalStack) -> None:
    console.print(f"serving on {stack.url}")
    console.print(f"key        {stack.key}")
    console.print("models     regroup, regroup-quality, regroup-balanced, regroup-economy,")
    console.print(f"           {', '.join(stack.catalog.names)}")
    console.print(
        "The models are stand-ins that echo; the router, its cache and its key are real.\n"
    )
    console.print(
        f"curl -s {stack.url}/v1/chat/completions -H 'Authorization: Bearer {stack.key}'"
        f" -H 'Content-Type: application/json' -d '{json.dumps(BODY)}'"
    )
    console.print("\nCtrl-C stops it.")


if __name__ == "__main__":
    main()
