"""Peers that cannot be measured are left out, and a line says why."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bench.data import REPOSITORY
from tests.bench.peers.measure import measure_peers
from tests.bench.peers.semantic_router_peer import UTTERANCES
from training.clusters import FEWEST

PROMPTS = {2: ["a b", "c d", "e f", "g h", "i j"], 3: ["a b c", "d e f", "g h i", "j k l", "m n o"]}

# numpy stands for the peer: it is installed, and has a version.
SOUND = """
PACKAGE = "numpy"
PART = "the folder's name"

def load():
    print("a peer may print")

def build(encoder):
    async def choose(text):
        return f"{encoder.name}: {text}"

    async def part(text):
        return encoder.name

    return choose, part
"""

UNSOUND = {
    "it exits": ("raise SystemExit(1)", "it ended with status 1: no word about why"),
    "it fails": ("import absent_package", "No module named 'absent_package'"),
    "it prints no JSON": ("import os\nos._exit(0)", "it printed no JSON: ''"),
    "it decides nothing": (
        SOUND.replace('return f"{encoder.name}: {text}"', "return None"),
        "RuntimeError: nothing was decided about 'a b'",
    ),
}


def measure(
    folder: Path, scripts: dict[str, str], **options: Any
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    paths = {name: folder / f"{number}.py" for number, name in enumerate(scripts)}
    for name, path in paths.items():
        path.write_text(scripts[name])
    cpu = min(os.sched_getaffinity(0))
    given: dict[str, Any] = {"python": Path(sys.executable), "scripts": paths} | options
    return measure_peers(PROMPTS, folder, cpu, **given)


def test_a_peer_is_timed_at_each_length(tmp_path: Path) -> None:
    found, left_out = measure(tmp_path, {"sound": SOUND})
    assert left_out == {}
    report = found["sound"]
    assert report["part"] == "the folder's name"
    assert report["import_ms"] >= 0
    for figure in ("p50_ms", "p99_ms", "part_p50_ms"):
        assert report[figure].keys() == {"2", "3"}
    assert all(report["p50_ms"][n] <= report["p99_ms"][n] for n in ("2", "3"))


@pytest.mark.parametrize(("script", "why"), UNSOUND.values(), ids=UNSOUND)
def test_a_peer_that_gives_no_figures_is_left_out_alone(
    tmp_path: Path, script: str, why: str
) -> None:
    found, left_out = measure(tmp_path, {"unsound": script, "sound": SOUND})
    assert found.keys() == {"sound"}
    assert left_out.keys() == {"unsound"}
    assert why in left_out["unsound"]
    assert "\n" not in left_out["unsound"]


def test_a_peer_that_takes_too_long_is_left_out(tmp_path: Path) -> None:
    endless = "import threading\nthreading.Event().wait()"
    found, left_out = measure(tmp_path, {"endless": endless}, timeout_seconds=0.1)
    assert (found, left_out) == ({}, {"endless": "it took longer than 0.1 s"})


def test_without_their_environment_all_peers_are_left_out(tmp_path: Path) -> None:
    scripts = {"one": SOUND, "other": SOUND}
    found, left_out = measure(tmp_path, scripts, python=tmp_path / "no/python")
    assert found == {}
    assert left_out.keys() == scripts.keys()
    assert all("make .venv-peers/.ready" in why for why in left_out.values())


def test_peers_see_no_proxy_and_no_key_and_one_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-key")
    seen = "sorted({'HTTPS_PROXY', 'OPENAI_API_KEY'} & os.environ.keys())"
    nosy = SOUND.replace('"the folder\'s name"', f"{seen}, len(os.sched_getaffinity(0))")
    found, _ = measure(tmp_path, {"nosy": f"import os\n{nosy}"})
    assert found["nosy"]["part"] == [[], 1]


def test_semantic_router_has_as_many_routes_as_our_router_has_clusters() -> None:
    assert len(UTTERANCES) == FEWEST


@pytest.mark.parametrize(
    ("package", "lock"),
    [
        ("numpy", "runtime"),
        ("onnxruntime", "runtime"),
        ("tokenizers", "runtime"),
        ("litellm", "compat"),
    ],
)
def test_peers_run_the_versions_that_we_use(package: str, lock: str) -> None:
    assert version_in("peers", package) == version_in(lock, package)


def version_in(lock: str, package: str) -> str:
    lines = (REPOSITORY / f"requirements/{lock}.txt").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{package}==")]
    return line.split()[0]
