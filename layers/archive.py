"""Folders as zips that are the same to the byte in any folder and at any time."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_EARLIEST = (1980, 1, 1, 0, 0, 0)
_FILE_MODE, _PROGRAM_MODE = 0o100644, 0o100755
_BEST = 9


def compile_bytecode(folder: Path, deployed_at: str) -> None:
    """Put a .pyc beside every .py of a folder, so that a cold start compiles nothing.

    The files carry the hash of their source and are believed unchecked: the times of files in a zip
    mean nothing, and what lies in a deployed package never changes. Tracebacks name `deployed_at`.

    Raises:
        subprocess.CalledProcessError: a file is no Python.
    """
    command = [
        *(sys.executable, "-sP", "-m", "compileall", "-q", "-f", "-j1"),
        *("--invalidation-mode=unchecked-hash", "-s", str(folder), "-p", deployed_at, str(folder)),
    ]
    # A process of its own, with one seed: what was interned or hashed could show in the bytes.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, check=True, env={**outside, "PYTHONHASHSEED": "0"})


def write_zip(folder: Path, path: Path, *, prefix: str = "") -> None:
    """Write all files of a folder, sorted, without times or owners, below `prefix` in the zip."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=_BEST) as archive:
        for file in files:
            info = ZipInfo(f"{prefix}{file.relative_to(folder).as_posix()}", _EARLIEST)
            info.compress_type = ZIP_DEFLATED
            info.external_attr = (_PROGRAM_MODE if ".so" in file.suffixes else _FILE_MODE) << 16
            info.create_system = 3  # Unix, also where it is made elsewhere
            archive.writestr(info, file.read_bytes())


def unzipped_bytes(path: Path) -> int:
    """Return the size of a zip's files, which is what Lambda counts."""
    with ZipFile(path) as archive:
        return sum(info.file_size for info in archive.infolist())
