"""`make package`: the zips that are deployed: two layers and one zip a function.

    runtime-layer.zip  third-party packages (layers/wheels.py), below python/
    core-layer.zip     regroup, below python/
    classifier.zip     the API; needs both layers
    authorizer.zip     the keys; needs the core layer alone
    collector.zip      the queue; needs both layers
    package.json       SHA-256 and sizes of each

The same sources give the same bytes in any folder. boto3 comes with Lambda, model files from S3.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from layers.archive import compile_bytecode, unzipped_bytes, write_zip
from layers.wheels import install_wheels

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "build/package"
"""Where `make package` puts them."""
RUNTIME_LAYER, CORE_LAYER = "runtime-layer", "core-layer"
LAYERS: Mapping[str, tuple[str, ...]] = {
    "classifier": (RUNTIME_LAYER, CORE_LAYER),
    "authorizer": (CORE_LAYER,),
    "collector": (RUNTIME_LAYER, CORE_LAYER),
}
"""The functions, each with the layers it is deployed on."""
INFO = "package.json"
LOCK = "requirements/layer.txt"
LICENCE = ROOT / "LICENSE"
MOST_UNZIPPED_MB = 125.0
"""Of a function with its layers, in millions of bytes; Lambda refuses 250 MB."""

_LAYER_AT, _FUNCTION_AT = "/opt/python", "/var/task"
_NEVER_DEPLOYED = {
    # Reports are made of pygal, which is no part of the layer; the others serve the command line.
    "regroup": ("report", "assumed_role.py", "cloudwatch_logs.py"),
    # They write the OpenAPI document.
    "classifier": ("openapi.py", "responses.py"),
}
_AUTHORIZER = ("__init__.py", "authorizer.py", "authorizer_settings.py")


@dataclass(frozen=True, slots=True)
class BuiltZip:
    """One finished zip."""

    sha256: str
    zipped_bytes: int
    unzipped_bytes: int


class PackageTooLargeError(Exception):
    """A function with its layers is larger than it may be."""


def build_package(out: Path, root: Path = ROOT) -> dict[str, BuiltZip]:
    """Build every zip into `out`; whatever fails, an earlier package stays whole.

    Args:
        out: a folder, replaced in one step.
        root: the repository whose sources and lock are packed.

    Raises:
        PackageTooLargeError: naming the function and its largest parts.
        subprocess.CalledProcessError: pip or the compiler said no.
    """
    fill: dict[str, Callable[[Path], None]] = {
        RUNTIME_LAYER: lambda folder: install_wheels(root / LOCK, folder),
        CORE_LAYER: lambda folder: _copy(root / "layers/core/python/regroup", folder),
        "classifier": lambda folder: _copy(
            root / "lambdas/classifier", folder, but=_AUTHORIZER[1:]
        ),
        "authorizer": lambda folder: _copy(root / "lambdas/classifier", folder, only=_AUTHORIZER),
        "collector": lambda folder: _copy(root / "lambdas/collector", folder),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".package-") as scratch:
        made, infos = Path(scratch) / "made", {}
        made.mkdir()
        for name, filled in fill.items():
            folder = Path(scratch) / name
            folder.mkdir()
            filled(folder)
            is_layer = name.endswith("-layer")
            compile_bytecode(folder, _LAYER_AT if is_layer else _FUNCTION_AT)
            path = made / f"{name}.zip"
            write_zip(folder, path, prefix="python/" if is_layer else "")
            infos[name] = BuiltZip(
                sha256(path.read_bytes()).hexdigest(), path.stat().st_size, unzipped_bytes(path)
            )
        refuse_too_large(infos, Path(scratch), LAYERS)
        (made / INFO).write_text(
            json.dumps({n: asdict(i) for n, i in infos.items()}, indent=1) + "\n"
        )
        if out.exists():
            out.rename(Path(scratch) / "before")
        made.rename(out)
    return infos


def unzipped_mb(infos: Mapping[str, BuiltZip], function: str) -> float:
    """Return what Lambda counts of a function: itself and its layers, in millions of bytes."""
    return sum(infos[name].unzipped_bytes for name in (function, *LAYERS[function])) / 1e6


def _copy(
    package: Path, folder: Path, *, only: tuple[str, ...] = (), but: tuple[str, ...] = ()
) -> None:
    """Copy a package of ours below a folder, without what is never deployed."""
    unwanted = {"__pycache__", *but, *_NEVER_DEPLOYED.get(package.name, ())}

    def ignored(place: str, names: list[str]) -> set[str]:
        # Nothing but Python of this very folder: an editor's leavings, a file of secrets or a link
        # to one may lie beside it.
        paths = [Path(place, name) for name in names]
        wanted = {path.name for path in paths if path.suffix == ".py" or path.is_dir()}
        wanted -= unwanted | {path.name for path in paths if path.is_symlink()}
        return set(names) - (wanted & set(only) if only else wanted)

    shutil.copytree(package, folder / package.name, ignore=ignored)
    shutil.copy(LICENCE, folder / package.name)


def refuse_too_large(
    infos: Mapping[str, BuiltZip], scratch: Path, functions: Iterable[str]
) -> None:
    """Refuse a function that with its layers takes more than `MOST_UNZIPPED_MB`.

    Raises:
        PackageTooLargeError: naming the largest parts, whose folders lie in `scratch`.
    """
    for function in functions:
        size = unzipped_mb(infos, function)
        if size <= MOST_UNZIPPED_MB:
            continue
        parts = [
            (sum(file.stat().st_size for file in part.rglob("*") if file.is_file()), part.name)
            for name in (function, *LAYERS[function])
            for part in (scratch / name).iterdir()
        ]
        largest = ", ".join(f"{name} {size / 1e6:.1f}" for size, name in sorted(parts)[:-6:-1])
        raise PackageTooLargeError(
            f"{function} and its layers take {size:.1f} MB unzipped, more than "
            f"{MOST_UNZIPPED_MB:g}: leave more out in layers/wheels.py (MB: {largest})"
        )


def main() -> None:
    """Build into `build/package` and print the sizes."""
    try:
        infos = build_package(PACKAGE)
    except (PackageTooLargeError, ValueError, OSError) as error:
        sys.exit(f"make package: {error}")
    except subprocess.CalledProcessError as error:
        # It has said on standard error what it stumbled over.
        program = error.cmd[error.cmd.index("-m") + 1]
        sys.exit(
            f"make package: {program} failed. Mend what it says above (for pip that may be the "
            "connection to the Python package index). An earlier package is still there."
        )
    lines = [f"{'':14} {'zipped':>10} {'unzipped':>10}   sha256"]
    lines += [
        f"{name:14} {info.zipped_bytes / 1e6:7.2f} MB {info.unzipped_bytes / 1e6:7.2f} MB"
        f"   {info.sha256[:16]}"
        for name, info in infos.items()
    ]
    lines += [
        f"{function} with its layers: {unzipped_mb(infos, function):.1f} MB of {MOST_UNZIPPED_MB:g}"
        for function in LAYERS
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
