"""A complete loopback AWS as a process: python -m tests.local.moto_gaps [PORT]."""

import signal
import sys
import threading

from tests.local.aws import LoopbackAws


def main() -> None:
    """Print the address and serve until told to stop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with LoopbackAws(complete=True, port=int(sys.argv[1]) if sys.argv[1:] else 0) as aws:
        sys.stdout.write(f"{aws.endpoint_url}\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
