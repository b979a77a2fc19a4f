"""How the layer is put together; what comes out of it is tested in tests/package."""

import os
import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from layers.archive import unzipped_bytes, write_zip
from layers.package import MOST_UNZIPPED_MB, BuiltZip, PackageTooLargeError, refuse_too_large
from layers.wheels import PINNED, layer_lock, leave_out

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"


def test_the_layers_lock_is_that_of_the_functions_without_what_they_never_import() -> None:
    runtime = (REQUIREMENTS / "runtime.txt").read_text()
    assert (REQUIREMENTS / "layer.txt").read_text() == layer_lock(runtime)


def test_a_lock_without_a_pin_of_the_layer_is_refused() -> None:
    lock = "\n".join(f"{name}==1 \\\n    --hash=sha256:00" for name in PINNED[1:]) + "\n"
    with pytest.raises(ValueError, match=f"does not pin {re.escape(PINNED[0])}"):
        layer_lock(lock)


def test_what_is_left_out_is_gone_and_the_rest_stays(tmp_path: Path) -> None:
    for name in ("a/tests/test_a.py", "a/b/tests/data.bin", "a/b/c.py", "a/b/c.pyi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    leave_out(tmp_path, ["**/tests", "**/*.pyi"])
    left = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    assert left == ["a/b/c.py"]


def test_a_pattern_that_matches_nothing_is_told_and_nothing_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.pyi").touch()
    with pytest.raises(ValueError, match=r"nothing matches gone/\*: take it off the list"):
        leave_out(tmp_path, ["*.pyi", "gone/*"])
    assert (tmp_path / "a.pyi").exists()


def test_a_zip_knows_neither_times_nor_the_order_of_the_disk(tmp_path: Path) -> None:
    for folder, names in (("one", ("b.py", "a/c.so")), ("two", ("a/c.so", "b.py"))):
        for number, name in enumerate(names):
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            os.utime(path, (number, 1e9 + number))
    zips = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for path in zips:
        write_zip(path.with_suffix(""), path, prefix="python/")
    assert zips[0].read_bytes() == zips[1].read_bytes()
    with ZipFile(zips[0]) as archive:
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
    assert modes == {"python/a/c.so": 0o755, "python/b.py": 0o644}
    assert unzipped_bytes(zips[0]) == len("b.py" + "a/c.so")


def test_a_function_that_is_too_large_names_what_takes_the_room(tmp_path: Path) -> None:
    for part, size in (("runtime-layer/heavy", 300), ("classifier/classifier", 7)):
        (tmp_path / part).mkdir(parents=True)
        (tmp_path / part / "file").write_bytes(bytes(size))
    (tmp_path / "core-layer").mkdir()
    heavy = BuiltZip("", 1, int(MOST_UNZIPPED_MB * 1e6))
    infos = {"runtime-layer": heavy, "core-layer": BuiltZip("", 1, 1), "classifier": heavy}
    with pytest.raises(
        PackageTooLargeError, match=r"classifier and its layers take 250.0 MB .*heavy"
    ):
        refuse_too_large(infos, tmp_path, ["classifier"])
