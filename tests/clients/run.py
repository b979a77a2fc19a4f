"""Run by `.venv-compat`: one client SDK against a server, and nothing but loopback in reach.

    python -I run.py PATH < task.json

Writes JSON to stdout: what the script's `results` returned, where it connected to, and what it was
kept from connecting to.
"""

import json
import runpy
import socket
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from ipaddress import ip_address
from typing import Any


class Guard:
    """Lets sockets connect to loopback alone, and notes where they wanted to."""

    def __init__(self) -> None:
        """Nothing is watched yet."""
        self.connected: set[str] = set()
        self.refused: set[str] = set()

    def install(self) -> None:
        """Watch every socket and every look-up of a name in this process, for good."""
        sockets: Any = socket.socket
        for name in ("connect", "connect_ex", "sendto"):
            setattr(sockets, name, self._watched(getattr(sockets, name)))
        look_up = socket.getaddrinfo

        def guarded(host: Any, *rest: Any, **named: Any) -> Any:
            self._check(host, host)
            return look_up(host, *rest, **named)

        setattr(socket, "getaddrinfo", guarded)  # noqa: B010 - not an attribute that mypy lets go

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(one: socket.socket, *arguments: Any) -> Any:
            address = arguments[-1]
            host = address[0] if isinstance(address, tuple) else address
            self._check(host, f"{host}:{address[1]}" if isinstance(address, tuple) else str(host))
            return method(one, *arguments)

        return guarded

    def _check(self, host: object, shown: object) -> None:
        if not _is_loopback(host):
            self.refused.add(str(shown))
            raise OSError(f"{shown} is out of reach: only loopback is not")
        self.connected.add(str(shown))


def _is_loopback(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return text == "localhost" or ip_address(text).is_loopback
    except ValueError:
        return False


def main() -> None:
    """Run the script that is named."""
    guard = Guard()
    guard.install()
    task = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):  # LiteLLM prints
        script = runpy.run_path(sys.argv[1])
        found = script["results"](task)
    watched = {"connected": sorted(guard.connected), "refused": sorted(guard.refused)}
    sys.stdout.write(json.dumps({"results": found, **watched}))


if __name__ == "__main__":
    main()
