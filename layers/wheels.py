"""The runtime layer: third-party wheels for Lambda's machine, cut to what runs there."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PLATFORMS = tuple(
    f"{tag}_x86_64"
    for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
)
"""What Amazon Linux 2023 loads, the system under Lambda's Python 3.12. onnxruntime needs 2_28."""

PINNED = (
    "annotated-types",
    "aws-lambda-powertools",
    "jmespath",
    "numpy",
    "onnxruntime",
    "pydantic",
    "pydantic-core",
    "tokenizers",
    "typing-extensions",
    "typing-inspection",
    "tzdata",
)
"""The closure of what the functions import. boto3 comes with Lambda. huggingface-hub, which
tokenizers declares, and protobuf, flatbuffers and packaging, which onnxruntime declares, are never
imported."""

LEFT_OUT = (
    # The extension module holds a library of its own and links to none: `readelf -d` says so.
    "onnxruntime/capi/libonnxruntime.so.*",
    # Conversion, quantisation and examples; inference imports none of them.
    "onnxruntime/transformers",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/datasets",
    "onnxruntime/backend",
    # For building extensions and for type checkers.
    "numpy/f2py",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/random/lib",
    "numpy/_pyinstaller",
    "**/*.pyi",
    "**/*.pxd",
    "**/*.h",
    "**/py.typed",
    "pydantic/mypy.py",
    # Tests of others.
    "**/tests",
    # Powertools' own router and API document.
    "aws_lambda_powertools/event_handler",
    # A visualiser for notebooks.
    "tokenizers/tools",
    # More tests and examples of others.
    "annotated_types/test_cases.py",
    "numpy/conftest.py",
    "numpy/_core/_*tests.cpython-*.so",
    "numpy/random/_examples",
    # Scripts, and what only an installer reads; licences and versions stay.
    "bin",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/WHEEL",
    "*.dist-info/entry_points.txt",
    "*.dist-info/top_level.txt",
)
"""Patterns below the layer's folder. `tests/package` routes a request without any of it."""

_PIN = re.compile(r"^(?P<name>[\w.-]+)==\S+ \\\n(?: +--hash=\S+(?: \\)?\n)+", re.MULTILINE)


def layer_lock(lock: str) -> str:
    """Return the pins of the layer, hashes and all, out of a lock of `uv pip compile`.

    Raises:
        ValueError: the lock lacks one of `PINNED`.
    """
    pins = {pin["name"]: pin[0] for pin in _PIN.finditer(lock)}
    if missing := sorted(set(PINNED) - pins.keys()):
        raise ValueError(f"the lock does not pin {', '.join(missing)}: run make locks")
    return "".join(pins[name] for name in PINNED)


def install_wheels(lock: Path, folder: Path) -> None:
    """Install the pinned wheels into an empty folder, cut to what runs on Lambda.

    Raises:
        ValueError: the lock lacks one of `PINNED`.
        subprocess.CalledProcessError: pip said no; its words are on standard error.
    """
    layer_lock(lock.read_text(encoding="utf-8"))
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", "--no-compile", "--python-version=3.12", "--implementation=cp"),
        *(*platforms, f"--target={folder}", f"--requirement={lock}"),
    ]
    subprocess.run(command, check=True)
    leave_out(folder, LEFT_OUT)


def leave_out(folder: Path, patterns: Iterable[str]) -> None:
    """Delete what matches any of the patterns.

    Raises:
        ValueError: a pattern matches nothing any more, so that the list would say what is not so.
    """
    found = {pattern: list(folder.glob(pattern)) for pattern in patterns}
    if idle := [pattern for pattern, paths in found.items() if not paths]:
        raise ValueError(f"nothing matches {', '.join(idle)}: take it off the list")
    for paths in found.values():
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def main() -> None:
    """Write the layer's lock: `python -m layers.wheels requirements/runtime.txt OUT`."""
    lock, out = map(Path, sys.argv[1:])
    out.write_text(layer_lock(lock.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
