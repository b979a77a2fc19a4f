"""The loopback cloud in a process of its own, so that its threads do not disturb who is timing.

`python -m tests.bench.cloud ARTIFACT` prints the classifier's environment as one JSON line, and
serves until its standard input ends.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.data import REPOSITORY
from tests.local.stack import LocalStack


@contextmanager
def cloud(artifact: Path) -> Iterator[dict[str, str]]:
    """Run the cloud with an artifact published; yield what the classifier must be told."""
    command = [sys.executable, "-m", "tests.bench.cloud", str(artifact)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def main() -> None:
    """Serve until nobody listens any more."""
    with LocalStack(artifact=Path(sys.argv[1])) as stack:
        sys.stdout.write(json.dumps(stack.environment()) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
