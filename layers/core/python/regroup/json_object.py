"""JSON that came as a value inside other JSON: arguments of tools, schemas."""

import json

MOST_NESTED = 100
"""Deeper values are refused here: parsers on the way, botocore's own among them, are recursive."""


def read_object(text: str) -> dict[str, object] | None:
    """Parse the JSON text of an object; None if it is anything else or cannot be sent on."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) and can_be_sent(parsed) else None


def can_be_sent(value: object) -> bool:
    """Tell whether any JSON parser takes a value: finite, Unicode, not nested too deeply."""
    try:
        # Python's own parser lets NaN, 1e999 and half a surrogate pair through.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    level = [value]
    for _ in range(MOST_NESTED):
        level = [child for item in level for child in _children(item)]
        if not level:
            return True
    return False


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
