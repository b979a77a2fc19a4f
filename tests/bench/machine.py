"""What a benchmark ran on."""

import os
import platform
from pathlib import Path

_MODEL = "model name"


def describe_machine() -> str:
    """Name the processor, its cores, and whether it has the instructions int8 products want."""
    fields: dict[str, str] = {}
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    vnni = "with" if "vnni" in fields.get("flags", "") else "without"
    return f"{fields.get(_MODEL, platform.machine())}, {os.cpu_count()} cores, {vnni} VNNI"
