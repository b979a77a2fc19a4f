"""A SageMaker job, from its source folder on, in processes that know nothing else of us."""

import errno
import json
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

import pytest

from regroup.adapters.object_store import FolderStore
from regroup.artifact import (
    GOLDEN,
    MANIFEST,
    PARTS,
    UNCERTAINTY,
    Artifact,
    load_artifact,
    write_artifact,
)
from regroup.errors import ConfigurationError, DataError
from tests.local.sample_data import write_sample_data
from tests.local.small_artifact import small_artifact
from training.publish import publish, status
from training.sagemaker_entry import FAILURE_CHARS, STOPPED, attempt, cache_folder, hand_over
from training.sagemaker_settings import Hyperparameters, Settings
from training.sagemaker_source import NEEDED, export_requirements, write_source
from training.train import Trained

ROOT = Path(__file__).parents[2]
LOCK, REQUIREMENTS = ROOT / "requirements" / "train.txt", ROOT / "training" / "requirements.txt"
ROWS = 300
KEPT = 256
"""Embeddings that are kept when the first progress beyond none is told."""

HYPERPARAMETERS = {
    "n_clusters": '"9"',
    "seed": "3",
    "split": "train",
    "router": '"cluster-mean"',
    "sagemaker_program": '"sagemaker_entry.py"',
}
JOB_FOLDERS = {"input", "model", "checkpoints"}

PAUSED = f"""
import logging, runpy, sys

class Pause(logging.Handler):
    def emit(self, record):
        if record.getMessage() == "embedded {KEPT} of {ROWS}":
            print("paused", flush=True)
            sys.stdin.read()

logging.getLogger("regroup.sagemaker").addHandler(Pause())
runpy.run_path("sagemaker_entry.py", run_name="__main__")
"""
"""Runs the entry point as it is, and waits in the middle of embedding until stdin is closed."""


@dataclass(frozen=True, slots=True)
class Job:
    """A folder that stands for /opt/ml, and how SageMaker would start a process on it."""

    ml: Path
    channels: Mapping[str, Path] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "REGROUP_ML_ROOT": str(self.ml),
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DATA_DIR": str(self.output_data),
            **{f"SM_CHANNEL_{name.upper()}": str(path) for name, path in self.channels.items()},
        }

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)

    @property
    def model(self) -> Path:
        return self.ml / "model"

    @property
    def output_data(self) -> Path:
        return self.ml / "output" / "data"

    @property
    def failure(self) -> Path:
        return self.ml / "output" / "failure"

    @property
    def checkpoints(self) -> Path:
        return self.ml / "checkpoints"

    def start(self, image: "Image", *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            # Without `site` the project's editable install is not seen, as in the image.
            [sys.executable, "-S", *(command or ("sagemaker_entry.py", "--seed", "3"))],
            cwd=image.source,
            env=self.environment | {"PYTHONPATH": str(image.packages)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def artifact(self) -> Artifact:
        store = FolderStore(self.ml.parent / f"{self.ml.name}-store")
        pointer = publish(self.model, store, "pointer.json", who="ann", why="a job")
        digest = pointer.champion
        return load_artifact(digest, lambda name: store.read(f"artifacts/{digest}/{name}").content)


@dataclass(frozen=True, slots=True)
class Image:
    """What a job finds: its source folder, and the packages that requirements.txt installs."""

    source: Path
    packages: Path


def make_job(
    ml: Path, channels: Mapping[str, Path], hyperparameters: Mapping[str, str] | None = None
) -> Job:
    config = ml / "input" / "config"
    config.mkdir(parents=True)
    (ml / "model").mkdir()
    (config / "hyperparameters.json").write_text(json.dumps(hyperparameters or {}))
    return Job(ml, channels)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    folder = tmp_path_factory.mktemp("image")
    packages = folder / "packages"
    packages.mkdir()
    for name in re.findall(r"^([\w-]+)==", REQUIREMENTS.read_text(), re.MULTILINE):
        found = distribution(name)
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            (packages / top).symlink_to(Path(str(found.locate_file(top))))
    write_source(folder / "source")
    return Image(folder / "source", packages)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The channel of labelled data, every text unlike the others."""
    folder = tmp_path_factory.mktemp("training")
    path = write_sample_data(folder / "rows.jsonl", ROWS)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    texts = (f"{row['text']} ({number})" for number, row in enumerate(rows))
    lines = (json.dumps(row | {"text": text}) for row, text in zip(rows, texts, strict=True))
    path.write_text("\n".join(lines) + "\n")
    return folder


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A job that got a signal in the middle of embedding, and what it left."""

    job: Job
    status: int
    folders: set[str]
    model: list[Path]


@pytest.fixture(scope="module")
def interrupted(
    tmp_path_factory: pytest.TempPathFactory, image: Image, training: Path, minilm: Path
) -> Mapping[signal.Signals, Interrupted]:
    """One job by signal."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "catalog.json").write_bytes((ROOT / "terraform" / "catalog.json").read_bytes())
    channels = {"training": training, "encoder": minilm, "catalog": folder}
    started = {}
    for number in (signal.SIGTERM, signal.SIGKILL):
        job = make_job(folder / number.name, channels, HYPERPARAMETERS)
        job.checkpoints.mkdir()
        started[number] = (job, job.start(image, "-c", PAUSED))
    found = {}
    for number, (job, process) in started.items():
        assert process.stdout is not None
        assert "paused\n" in iter(process.stdout.readline, "")
        process.send_signal(number)
        process.communicate(timeout=300)  # closes stdin, so that the process goes on, if it can
        found[number] = Interrupted(
            job=job,
            status=process.returncode,
            folders={path.name for path in job.ml.iterdir()},
            model=list(job.model.iterdir()),
        )
    return found


@pytest.fixture(scope="module")
def finished(
    image: Image, interrupted: Mapping[signal.Signals, Interrupted]
) -> tuple[Job, list[str]]:
    """The job that SIGTERM interrupted, started again, and the lines it logged."""
    job = interrupted[signal.SIGTERM].job
    process = job.start(image)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    return job, out.splitlines()


def test_what_a_job_leaves_is_published_from_its_archive(
    finished: tuple[Job, list[str]], tmp_path: Path
) -> None:
    job, _ = finished
    assert {path.name for path in job.model.iterdir()} == {*PARTS, UNCERTAINTY, GOLDEN, MANIFEST}
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(job.model, arcname=".")
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    store = FolderStore(tmp_path / "store")
    publish(tmp_path / "unpacked", store, "pointer.json", who="ann", why="a job")
    live = status(store, "pointer.json").manifest
    assert (live.router, live.n_clusters) == ("cluster-mean", 9)
    assert live.training["seed"] == "3"


def test_what_is_not_the_artifact_goes_to_the_output_data(finished: tuple[Job, list[str]]) -> None:
    job, _ = finished
    artifact = job.artifact()
    metrics = json.loads((job.output_data / "metrics.json").read_text())
    assert metrics["digest"] == artifact.digest
    assert metrics["verdict"]["gain"] == artifact.manifest.verdict.gain
    assert not job.failure.exists()
    assert {path.name for path in job.ml.iterdir()} == {*JOB_FOLDERS, "output"}


def test_the_log_tells_progress_and_numbers_that_a_regex_finds(
    finished: tuple[Job, list[str]],
) -> None:
    job, lines = finished
    verdict = job.artifact().manifest.verdict
    assert f"embedded {ROWS} of {ROWS}" in lines
    assert verdict.sentence in lines
    found = re.findall(r"^gain=(-?[0-9.]+);$", "\n".join(lines), re.MULTILINE)
    assert [float(one) for one in found] == [pytest.approx(verdict.gain, abs=1e-6)]
    assert verdict.gain > 0


def test_a_job_imports_us_from_its_source_folder_alone(image: Image, tmp_path: Path) -> None:
    asked = (
        "import importlib.metadata as m, pathlib as p, regroup, training\n"
        "print(training.__file__, regroup.__file__)\n"
        "print(p.Path(m.distribution('regroup').locate_file('')).resolve())"
    )
    job = make_job(tmp_path / "ml", {})
    out, _ = job.start(image, "-c", asked).communicate(timeout=300)
    assert [Path(one).is_relative_to(image.source) for one in out.split()] == [True] * 3
    elsewhere = Image(tmp_path, image.packages)
    _, err = job.start(elsewhere, "-c", asked).communicate(timeout=300)
    assert "No module named 'regroup'" in err


def test_sigterm_leaves_nothing_half_done_and_a_restart_goes_on_from_the_checkpoint(
    interrupted: Mapping[signal.Signals, Interrupted], finished: tuple[Job, list[str]]
) -> None:
    left = interrupted[signal.SIGTERM]
    assert (left.status, left.folders, left.model) == (STOPPED, JOB_FOLDERS, [])
    assert finished[1][0] == f"embedded {KEPT} of {ROWS}"


def test_sigkill_leaves_no_artifact_and_what_was_embedded(
    interrupted: Mapping[signal.Signals, Interrupted],
) -> None:
    left = interrupted[signal.SIGKILL]
    assert (left.status, left.model) == (-signal.SIGKILL, [])
    (cache,) = left.job.checkpoints.glob("*.sqlite")
    with closing(sqlite3.connect(cache)) as kept:
        assert kept.execute("SELECT count(*) FROM embeddings").fetchone() == (KEPT,)


def cache_of(path: Path, texts: int) -> bytes:
    with closing(sqlite3.connect(path)) as cache, cache:
        cache.execute("CREATE TABLE embeddings (key BLOB PRIMARY KEY, vector BLOB)")
        rows = ((number.to_bytes(32), bytes(1536)) for number in range(texts))
        cache.executemany("INSERT INTO embeddings VALUES (?, ?)", rows)
    return path.read_bytes()


def test_a_checkpoint_that_was_copied_while_it_changed_is_thrown_away(tmp_path: Path) -> None:
    whole = cache_of(tmp_path / "whole.sqlite", 40)
    torn = {
        "cut": whole[: len(whole) // 2],
        "mixed": whole[:8192] + cache_of(tmp_path / "other", 20)[8192:12288] + whole[12288:],
        "empty": bytes(len(whole)),
    }
    for name, content in torn.items():
        (tmp_path / f"{name}.sqlite").write_bytes(content)
        (tmp_path / f"{name}.sqlite-journal").write_bytes(content)
    assert cache_folder(tmp_path, tmp_path / "scratch") == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"whole.sqlite", "other"}
    assert (tmp_path / "whole.sqlite").read_bytes() == whole


def small(folder: Path) -> Trained:
    manifest, parts = small_artifact()
    return Trained(write_artifact(folder, manifest, parts), manifest)


def test_a_report_beside_the_artifact_stays_out_of_the_model_folder(tmp_path: Path) -> None:
    job = make_job(tmp_path / "ml", {})
    trained = small(tmp_path / "made")
    (tmp_path / "made" / "report.html").write_text("all is well")
    hand_over(tmp_path / "made", trained, job.settings)
    assert {path.name for path in job.output_data.iterdir()} == {"metrics.json", "report.html"}
    assert {path.name for path in job.model.iterdir()} == {*PARTS, MANIFEST}
    assert job.artifact().digest == trained.digest


@pytest.mark.parametrize("part", PARTS)
def test_an_artifact_that_could_not_be_moved_as_a_whole_has_no_manifest(
    part: str, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ml", {})
    trained = small(tmp_path / "made")
    (job.model / MANIFEST).write_text("of an earlier run")
    (job.model / part / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match=part):
        hand_over(tmp_path / "made", trained, job.settings)
    assert not (job.model / MANIFEST).exists()


def test_without_checkpoints_embeddings_are_kept_as_long_as_the_job_runs(tmp_path: Path) -> None:
    assert cache_folder(tmp_path / "checkpoints", tmp_path / "scratch") == tmp_path / "scratch"
    assert list(tmp_path.iterdir()) == []


def test_without_the_channel_encoder_the_image_must_hold_a_packaged_one(
    image: Image, training: Path, tmp_path: Path
) -> None:
    job = make_job(tmp_path / "ml", {"training": training})
    process = job.start(image)
    process.communicate(timeout=300)
    assert process.returncode == 1
    assert job.failure.read_text().startswith("the job has no channel `encoder`: give it one")
    assert list(job.model.iterdir()) == []


REFUSED: Mapping[str, tuple[Mapping[str, str], str]] = {
    "an unknown name": (
        {"clusters": "8"},
        "no hyperparameter is called 'clusters'; there are: "
        "average, split, n_clusters, seed, encoder, router, champion",
    ),
    "an unknown word": (
        {"average": '"mean"'},
        "hyperparameter average: Input should be 'rows' or 'datasets', not 'mean'",
    ),
    "no number": ({"n_clusters": "many"}, "hyperparameter n_clusters: .*integer, .*, not 'many'"),
    "too few": ({"n_clusters": "1"}, "hyperparameter n_clusters: .* or equal to 2, not '1'"),
    "below zero": ({"seed": "-1"}, "hyperparameter seed: .* or equal to 0, not '-1'"),
    "nothing": ({"split": ""}, "hyperparameter split: .* at least 1 character, not ''"),
    "an encoder of nobody's": ({"encoder": "bert"}, "hyperparameter encoder: .*'minilm' or 'e5-"),
    "a yardstick": ({"router": "knn"}, "hyperparameter router: .*there are: auto, .*, not 'knn'"),
    "a novel": ({"average": "x" * 2500}, f"hyperparameter average: .*, not '{'x' * 39}$"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hyperparameter_that_cannot_be_used_fails_the_job_with_what_is_allowed(
    name: str, training: Path, tmp_path: Path
) -> None:
    given, reason = REFUSED[name]
    job = make_job(tmp_path / "ml", {"training": training}, given)
    assert attempt(job.settings) == 1
    assert re.match(reason, job.failure.read_text())
    assert list(job.model.iterdir()) == []


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"seed": 3}', b"\xff"])
def test_a_file_of_hyperparameters_that_sagemaker_would_not_write_is_refused(
    content: bytes,
) -> None:
    with pytest.raises(ConfigurationError, match=r"^hyperparameters\.json (is not|holds no)"):
        Hyperparameters.from_json(content)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, Hyperparameters()),
        ({"average": "datasets"}, Hyperparameters(average="datasets")),
        ({"average": '"datasets"'}, Hyperparameters(average="datasets")),
        ({"n_clusters": "12", "seed": '"7"'}, Hyperparameters(n_clusters=12, seed=7)),
        ({"n_clusters": "null", "split": "null"}, Hyperparameters()),
        ({"split": "2024"}, Hyperparameters(split="2024")),
        ({"split": "1e3"}, Hyperparameters(split="1e3")),
        ({"split": "true"}, Hyperparameters(split="true")),
        ({"split": "[dev"}, Hyperparameters(split="[dev")),
        ({"encoder": '"e5-small"'}, Hyperparameters(encoder="e5-small")),
        ({"router": '"auto"', "sagemaker_region": '"x"'}, Hyperparameters(router="auto")),
        ({"_tuning_objective_metric": "gain"}, Hyperparameters()),
    ],
)
def test_hyperparameters_mean_the_same_with_and_without_the_quotes_of_the_sdk(
    given: Mapping[str, str], expected: Hyperparameters
) -> None:
    assert Hyperparameters.from_json(json.dumps(given).encode()) == expected


def channels(folder: Path) -> dict[str, Path]:
    """One channel for each thing that a job may get wrong, and one that is right."""
    for name in ("none", "two", "one", "catalog"):
        (folder / name).mkdir()
    (folder / "none" / "notes.txt").write_text("no data")
    for name in ("two/a.jsonl", "two/b.jsonl.gz", "one/rows.jsonl"):
        (folder / name).write_text('{"id": "1", "text": "hello", "scores": {"haiku": 1}}\n')
    (folder / "catalog" / "catalog.json").write_text("{}")
    write_sample_data(folder / "rows" / "rows.jsonl", 60)
    return {path.name: path for path in folder.iterdir()}


CHANNELS: Mapping[str, tuple[Mapping[str, str], str]] = {
    "no data channel": ({}, "the job has no channel `training`: name the S3 folder"),
    "no file": ({"training": "none"}, r"the channel `training` must hold one file .*: none$"),
    "two files": ({"training": "two"}, r".* must hold one file \*\.jsonl .*: 2 files .* a\.jsonl$"),
    "no catalog": (
        {"training": "one", "catalog": "none"},
        r"the channel `catalog` holds no catalog\.json$",
    ),
    "a broken catalog": (
        {"training": "one", "catalog": "catalog"},
        r"catalog\.json: candidates: Field required$",
    ),
    "too few rows": (
        {"training": "one", "encoder": "none"},
        "1 rows have a reward from every candidate",
    ),
    "no encoder in its channel": (
        {"training": "rows", "encoder": "none"},
        ".*/channels/none holds no exported encoder: run `regroup encoder` first$",
    ),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_a_channel_that_cannot_be_used_fails_the_job_with_what_is_missing(
    name: str, tmp_path: Path
) -> None:
    wanted, reason = CHANNELS[name]
    (tmp_path / "channels").mkdir()
    there = channels(tmp_path / "channels")
    job = make_job(tmp_path / "ml", {name: there[folder] for name, folder in wanted.items()})
    assert attempt(job.settings) == 1
    assert re.match(reason, job.failure.read_text())
    assert {path.name for path in job.ml.iterdir()} == {"input", "model", "output"}


def test_an_encoder_named_and_given_is_a_contradiction(
    training: Path, minilm: Path, tmp_path: Path
) -> None:
    job = make_job(
        tmp_path / "ml", {"training": training, "encoder": minilm}, {"encoder": "minilm"}
    )
    assert attempt(job.settings) == 1
    assert job.failure.read_text().endswith("has a channel `encoder` too: leave one out")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DataError("rows.jsonl, line 3: not JSON"), "rows.jsonl, line 3: not JSON"),
        (DataError("é" * 2000), "é" * FAILURE_CHARS),
        (ValueError("my secret prompt"), "ValueError"),
        (OSError(errno.ENOSPC, "my secret prompt"), "OSError: No space left on device"),
        (OSError("my secret prompt"), "OSError"),
    ],
)
def test_the_reason_is_our_own_sentence_or_the_kind_of_what_nobody_expected(
    error: Exception, reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def work(_settings: Settings) -> None:
        raise error

    job = make_job(tmp_path / "ml", {})
    caplog.set_level("INFO")
    assert attempt(job.settings, work) == 1
    assert job.failure.read_text() == reason
    assert "Traceback" not in caplog.text
    assert "secret" not in caplog.text


def test_the_list_of_requirements_is_the_one_of_the_lock() -> None:
    assert REQUIREMENTS.read_text() == export_requirements(LOCK.read_text())


def test_only_what_a_job_needs_is_required_with_its_hashes() -> None:
    needed = "\n".join(f"{name}==1 \\\n    --hash=sha256:{name}" for name in sorted(NEEDED))
    others = """boto3==1 \\
    --hash=sha256:b
    # via regroup (pyproject.toml)
deep==2 \\
    --hash=sha256:c \\
    --hash=sha256:d
    # via
    #   -c requirements/dev.txt
    #   typer
    #   shallow
shallow==3 \\
    --hash=sha256:e
    # via numpy
typer==4 \\
    --hash=sha256:f
    # via regroup (pyproject.toml)
"""
    kept = """deep==2 \\
    --hash=sha256:c \\
    --hash=sha256:d
shallow==3 \\
    --hash=sha256:e
"""
    assert export_requirements(f"{needed}\n{others}") == f"{needed}\n{kept}"
    with pytest.raises(ValueError, match="the lock does not pin numpy, onnx, "):
        export_requirements(others)


def test_a_source_folder_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    write_source(tmp_path / "source")
    (tmp_path / "source" / "training" / "forgotten.py").touch()
    write_source(tmp_path / "source")
    assert not (tmp_path / "source" / "training" / "forgotten.py").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(FileExistsError, match="holds something else"):
        write_source(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_a_champion_of_hyperparameters_is_compared_with() -> None:
    found = Hyperparameters.from_json(b'{"champion": "s3://bucket/regroup/pointer.json"}')
    assert found.champion == "s3://bucket/regroup/pointer.json"
