"""The source folder of a SageMaker training job, and the list of what its image must install.

SageMaker unpacks the folder, installs its `requirements.txt` and runs a file at its root, so that
the packages beside that file can be imported:

    sagemaker_entry.py  a copy of training/sagemaker_entry.py
    training/ regroup/  our packages
    regroup-*.dist-info what names our version, which artifacts record
    requirements.txt    a copy of training/requirements.txt

The encoders' own packages are not in the list: they must be installed without what they declare,
and one list cannot say so. A job reads its encoder from the channel `encoder` instead.
"""

import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

import regroup
import training

NEEDED = (
    "numpy",
    "onnx",
    "onnxruntime",
    "pyarrow",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "threadpoolctl",
    "tokenizers",
)
"""What a job imports. The rest of `requirements/train.txt`, boto3 above all, stays as the image
has it, because the image's own launcher runs on it."""
ENTRY, REQUIREMENTS = "sagemaker_entry.py", "requirements.txt"

_PIN = re.compile(r"(?P<name>[\w.-]+)==\S+")
_VIA = re.compile(r" +# +(?:via +)?(?P<name>[\w.-]+)$")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def export_requirements(lock: str) -> str:
    """Return the pins of what a job needs, hashes and all, out of a lock of `uv pip compile`.

    Args:
        lock: pins with hashes, each followed by comments that say which packages ask for it.

    Raises:
        ValueError: something that a job needs is not in the lock.
    """
    pins: dict[str, list[str]] = {}
    asked_by: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines():
        if pin := _PIN.match(line):
            name = pin["name"]
            pins[name], asked_by[name] = [], set()
        if via := _VIA.match(line):
            asked_by[name].add(via["name"])
        if name and not line.lstrip().startswith("#"):
            pins[name].append(line)
    kept = set(NEEDED)
    if missing := sorted(kept - pins.keys()):
        raise ValueError(f"the lock does not pin {', '.join(missing)}")
    while more := {one for one in pins if one not in kept and asked_by[one] & kept}:
        kept |= more
    lines = [line for one, block in pins.items() if one in kept for line in block]
    return "\n".join(lines) + "\n"


def write_source(folder: Path) -> None:
    """Write the source folder; an earlier one is replaced.

    Raises:
        FileExistsError: something else lies there.
    """
    ours = Path(training.__file__).parent
    if folder.exists():
        if not any(folder.glob("regroup-*.dist-info")) and any(folder.iterdir()):
            raise FileExistsError(f"{folder} holds something else: name another folder")
        shutil.rmtree(folder)
    ignored = shutil.ignore_patterns("__pycache__")
    for package in (ours, Path(regroup.__file__).parent):
        shutil.copytree(package, folder / package.name, ignore=ignored)
    for name in (ENTRY, REQUIREMENTS):
        shutil.copy(ours / name, folder / name)
    number = version("regroup")
    record = folder / f"regroup-{number}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: regroup\nVersion: {number}\n", encoding="utf-8"
    )


@app.command(name="requirements")
def requirements_command(
    lock: Annotated[Path, typer.Argument(help="requirements/train.txt")],
    out: Annotated[Path, typer.Argument(help="training/requirements.txt")],
) -> None:
    """Write the list of what a job's image must install."""
    out.write_text(export_requirements(lock.read_text(encoding="utf-8")), encoding="utf-8")


@app.command(name="folder")
def folder_command(
    out: Annotated[Path, typer.Argument(help="Is replaced, e.g. build/sagemaker.")],
) -> None:
    """Write the source folder of a job."""
    write_source(out)


if __name__ == "__main__":
    app()
