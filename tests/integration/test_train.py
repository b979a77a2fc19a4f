"""Training end to end with the real encoder, and the command line around it."""

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from regroup.artifact import Artifact, load_artifact
from regroup.domain.prediction import Heads
from regroup.errors import DataError
from tests.local.sample_data import CANDIDATES, write_sample_data
from training.dataset import read_dataset
from training.prepare import Options
from training.ridge import CLOSED_FORM
from training.train import Trained, train

ROWS = 320
OPTIONS = Options(n_clusters=8)


def load(folder: Path, digest: str) -> Artifact:
    return load_artifact(digest, lambda name: (folder / name).read_bytes())


def start(*arguments: str | Path, cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "training.cli", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """What one process of `regroup train` said and left."""

    status: int
    out: str
    folder: Path

    @property
    def digest(self) -> str:
        line = next(line for line in self.out.splitlines() if line.startswith("artifact "))
        return line.split()[1]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample_data(tmp_path_factory.mktemp("data") / "sample.jsonl", ROWS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, data: Path, minilm: Path) -> tuple[Run, Run]:
    """Two processes side by side, each with its own folder and its own cache of embeddings."""
    folders = [tmp_path_factory.mktemp("run") for _ in range(2)]
    command = (
        "train",
        "--data",
        data,
        "--encoder",
        minilm,
        "--n-clusters",
        "8",
        "--out",
        "artifact",
    )
    processes = [start(*command, cwd=folder) for folder in folders]
    outputs = [process.communicate(timeout=120) for process in processes]
    first, second = (
        Run(process.returncode, out, folder / "artifact")
        for process, (out, _), folder in zip(processes, outputs, folders, strict=True)
    )
    return first, second


def test_two_processes_train_the_very_same_artifact(runs: tuple[Run, Run]) -> None:
    first, second = runs
    assert (first.status, second.status) == (0, 0)
    assert first.digest == second.digest
    names = sorted(path.name for path in first.folder.iterdir())
    for name in names:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name


def test_where_there_is_something_to_learn_the_verdict_is_to_route(runs: tuple[Run, Run]) -> None:
    run, _ = runs
    artifact = load(run.folder, run.digest)
    assert artifact.manifest.router in CLOSED_FORM
    assert artifact.manifest.verdict.route
    assert artifact.manifest.verdict.gain_low > 0
    assert artifact.manifest.verdict.sentence.startswith("route (gain ")
    assert artifact.manifest.verdict.sentence in run.out.splitlines()


def test_the_artifact_is_whole_and_says_what_it_is(runs: tuple[Run, Run], data: Path) -> None:
    run, _ = runs
    artifact = load(run.folder, run.digest)
    manifest, heads = artifact.manifest, artifact.heads
    assert manifest.candidates == heads.candidates == CANDIDATES
    assert manifest.n_clusters == len(heads.centroids) == 8
    assert manifest.encoder.dims == heads.dims == 384
    assert manifest.data_sha256 == read_dataset(data).sha256
    assert manifest.default_candidate == "sonnet"
    assert sum(cluster.share for cluster in manifest.clusters) == pytest.approx(1.0)
    assert set(manifest.presets) == {"quality", "balanced", "economy"}
    assert {preset.cost_weight for preset in manifest.presets.values()} == {0.0}


def write_rows(path: Path, rows: list[Mapping[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def shuffled(
    tmp_path_factory: pytest.TempPathFactory, data: Path, minilm: Path, runs: tuple[Run, Run]
) -> tuple[Trained, Path]:
    """Trained on the same texts and the same rewards, but no longer of each other."""
    folder = tmp_path_factory.mktemp("shuffled")
    rows = rows_of(data)
    scores = [row["scores"] for row in rows]
    random.Random(0).shuffle(scores)
    path = write_rows(
        folder / "shuffled.jsonl",
        [row | {"scores": score} for row, score in zip(rows, scores, strict=True)],
    )
    cache = runs[0].folder.parent / "build/cache"
    out = folder / "artifact"
    return train(read_dataset(path), minilm, out, options=OPTIONS, cache_folder=cache), out


def test_where_there_is_nothing_to_learn_the_verdict_names_the_model_to_use(
    shuffled: tuple[Trained, Path],
) -> None:
    manifest = shuffled[0].manifest
    assert not manifest.verdict.route
    assert manifest.verdict.sentence.startswith("do not route: use sonnet (gain ")
    assert manifest.router == "best-single"
    assert manifest.default_candidate == "sonnet"


def test_the_best_single_router_predicts_the_same_for_every_query(
    shuffled: tuple[Trained, Path],
) -> None:
    trained, folder = shuffled
    heads: Heads = load(folder, trained.digest).heads
    rng = np.random.default_rng(0)
    predicted = [
        heads.predict(rng.normal(size=heads.dims).astype(np.float32)).rewards for _ in range(20)
    ]
    assert all(rewards == predicted[0] for rewards in predicted)
    assert max(predicted[0], key=predicted[0].__getitem__) == "sonnet"


@pytest.mark.parametrize("scored", [0, 49])
def test_too_few_fully_scored_rows_are_refused_before_anything_is_embedded(
    scored: int, data: Path, minilm: Path, tmp_path: Path
) -> None:
    rows = rows_of(data)
    for row in rows[scored:]:
        row["scores"] = dict.fromkeys(CANDIDATES) | ({"haiku": 0.5} if scored else {})
    path = write_rows(tmp_path / "gaps.jsonl", list(rows))
    with pytest.raises(DataError, match=f"{scored} rows have a reward from every .* at least 50"):
        train(
            read_dataset(path),
            minilm,
            tmp_path / "artifact",
            options=OPTIONS,
            cache_folder=tmp_path / "cache",
        )
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "artifact").exists()


def test_gaps_beside_enough_fully_scored_rows_are_no_obstacle(
    data: Path, minilm: Path, tmp_path: Path, runs: tuple[Run, Run]
) -> None:
    rows = rows_of(data)
    for row in rows[60:]:
        row["scores"] = {"haiku": 0.5, "sonnet": None}
    trained = train(
        read_dataset(write_rows(tmp_path / "gaps.jsonl", list(rows))),
        minilm,
        tmp_path / "artifact",
        options=Options(n_clusters=8, average="datasets"),
        cache_folder=runs[0].folder.parent / "build/cache",
    )
    assert load(tmp_path / "artifact", trained.digest).manifest == trained.manifest


def test_a_candidate_scored_on_few_rows_is_placed_among_the_others(
    data: Path, minilm: Path, tmp_path: Path, runs: tuple[Run, Run]
) -> None:
    rows = rows_of(data)
    for row in rows[80:]:
        scores = row["scores"]
        assert isinstance(scores, dict)
        scores["llama-70b"] = None
    path = write_rows(tmp_path / "newcomer.jsonl", list(rows))
    trained = train(
        read_dataset(path),
        minilm,
        tmp_path / "artifact",
        options=OPTIONS,
        cache_folder=runs[0].folder.parent / "build/cache",
    )
    assert trained.manifest.verdict.route
    assert trained.manifest.candidates == CANDIDATES
    heads = load(tmp_path / "artifact", trained.digest).heads
    column = CANDIDATES.index("llama-70b")
    assert heads.bias[:, column].std() > 0  # not one mean for all clusters


LONG = f"{'long-' * 30}[red].jsonl"  # beyond any terminal's width, and looks like markup
COMPLAINTS = {
    LONG: f"regroup: {LONG} is not a file\n",
    "broken.jsonl": "regroup: broken.jsonl, line 2: not JSON (",
}


def test_an_expected_error_is_one_line_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text(
        '{"id": "1", "text": "x", "scores": {"a": 1}}\n{"id": "2"\n'
    )
    processes = {
        name: start("train", "--data", name, "--out", "out", cwd=tmp_path) for name in COMPLAINTS
    }
    for name, process in processes.items():
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (1, "")
        assert err.startswith(COMPLAINTS[name])
        assert err.index("\n") == len(err) - 1
    assert [path.name for path in tmp_path.iterdir()] == ["broken.jsonl"]
