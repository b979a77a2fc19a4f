"""Write the API's OpenAPI document into the repository, or see whether it is up to date.

python -m tests.local.openapi_file [--check]
"""

import argparse
import json
import sys
from pathlib import Path

from classifier.openapi import document

FILE = Path(__file__).parents[2] / "terraform/openapi.json"


def content() -> str:
    """Return what the file should hold."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def is_current(file: Path = FILE) -> bool:
    """Tell whether the file says what the code does."""
    return file.exists() and file.read_text() == content()


def main() -> None:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is out of date")
    if not parser.parse_args().check:
        FILE.write_text(content())
    elif not is_current():
        sys.exit(
            f"{FILE.name} differs from the code: run `.venv/bin/python -m tests.local.openapi_file`"
        )


if __name__ == "__main__":
    main()
