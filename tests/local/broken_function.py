"""A function whose import fails, as one with a missing setting does."""

import os

if os.environ.get("EXIT_CODE"):
    os.write(2, b"last words\n")
    os._exit(int(os.environ["EXIT_CODE"]))
if os.environ.get("ONCE") and not os.path.exists(os.environ["ONCE"]):  # noqa: PTH110 - no imports
    raise SystemExit(3)
if not os.environ.get("ONCE"):
    raise RuntimeError("CATALOG_URI is not set")


def handler(_event: object, _context: object) -> str:
    """Answer once the cause is mended."""
    return "up"
