"""The deployed zips laid out as Lambda lays them out, with what its Python brings beside them.

A process started from here sees the zips of `make package`, the standard library, and boto3 with
the runtime client in a folder of their own; nothing of this repository and nothing of `.venv`.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from layers.archive import compile_bytecode
from layers.package import LAYERS, PACKAGE

_MANAGED = ("awslambdaric", "boto3")
"""With all they require: what the managed Python 3.12 runtime has of its own."""
_NAME = re.compile(r"[\w.-]+")
_EXTRA = "extra =="


@dataclass(frozen=True, slots=True)
class Unpacked:
    """One function as Lambda sees it."""

    task: Path
    """In place of /var/task."""
    layers: Path
    """In place of /opt/python."""
    managed: Path
    """In place of the managed runtime's own packages, which come last."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The folders modules are looked for in, after the standard library."""
        return self.task, self.layers, self.managed

    @property
    def command(self) -> tuple[str, ...]:
        """The interpreter, without `site` and so without any site-packages."""
        return (base_python(), "-s", "-S")

    @property
    def environment(self) -> dict[str, str]:
        """What the interpreter must be told; /opt and /var/task are read-only on Lambda."""
        path = os.pathsep.join(map(str, self.paths))
        return {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def base_python() -> str:
    """Return the Python that `.venv` was made from."""
    return str(getattr(sys, "_base_executable", sys.executable))


def unpack(function: str, into: Path, package: Path = PACKAGE) -> Unpacked:
    """Unpack a function and its layers into clean folders below `into`.

    Raises:
        FileNotFoundError: `make package` has not been run.
    """
    layers = [package / f"{layer}.zip" for layer in LAYERS[function]]
    return unpack_zips(package / f"{function}.zip", layers, into, function)


def unpack_zips(task: Path, layers: Iterable[Path], into: Path, name: str) -> Unpacked:
    """Unpack a function's zip and those of its layers, in that order, into clean folders.

    Raises:
        FileNotFoundError: a zip is not there.
    """
    found = Unpacked(into / name, into / f"{name}-layers", into / "managed")
    _extract(task, found.task)
    for layer in layers:
        _extract(layer, found.layers)
    # A layer lies below /opt, and its Python files below /opt/python.
    unpacked = Unpacked(found.task, found.layers / "python", found.managed)
    if not unpacked.managed.exists():
        lay_out_managed_runtime(unpacked.managed)
    return unpacked


def lay_out_managed_runtime(folder: Path) -> None:
    """Copy boto3 and the runtime client, compiled, out of the environment this runs in."""
    for one in _closure():
        root = Path(str(one.locate_file("")))
        for file in one.files or ():
            source = Path(str(one.locate_file(file)))
            if ".." in file.parts or file.suffix == ".pyc" or not source.is_file():
                continue
            target = folder / source.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    compile_bytecode(folder, "/var/lang/lib/python3.12/site-packages")


def _closure() -> Iterator[Distribution]:
    """Yield the packages of the managed runtime and all they require."""
    seen: set[str] = set()
    names = list(_MANAGED)
    while names:
        name = names.pop().lower()
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        yield found
        for requirement in found.requires or ():
            if _EXTRA not in requirement and (match := _NAME.match(requirement)):
                names.append(match[0])


def _extract(path: Path, into: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: run make package")
    with ZipFile(path) as archive:
        archive.extractall(into)
