"""What a SageMaker training job runs: labelled data in, an artifact that `publish` takes out.

The job's folders and hyperparameters are described in `training.sagemaker_settings`, its source
folder in `training.sagemaker_source`. Hyperparameters come as arguments too; those are not read.

A spot interruption may come as SIGTERM or, where the launcher of the image does not hand it on
(https://github.com/aws/sagemaker-training-toolkit/issues/125), as SIGKILL alone. So nothing waits
for a last moment: embeddings are kept as they are made, and the model folder, which SageMaker
uploads even of a stopped job, is filled at the very end, the manifest last.
"""

import json
import logging
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from regroup.artifact import MANIFEST
from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from regroup.errors import ConfigurationError, DataError, RegroupError
from regroup.ports import ObjectStore
from training.dataset import read_dataset
from training.encoder import find_encoder
from training.encoder_choice import encoder_for
from training.prepare import Options
from training.sagemaker_settings import Hyperparameters, Settings
from training.train import Trained, train

DATA = ("*.jsonl", "*.jsonl.gz", "*.parquet")
METRICS = "metrics.json"
FAILURE_CHARS = 1024
"""SageMaker reads no more of the failure file."""
STOPPED = 128 + signal.SIGTERM
"""Exit status after SIGTERM, as shells give it."""

_LOG = logging.getLogger("regroup.sagemaker")


def run(settings: Settings) -> None:
    """Train on the job's data, and leave the artifact in its model folder.

    Raises:
        ConfigurationError: a hyperparameter or a channel cannot be used.
        DataError: the data, the catalog or the encoder cannot be used.
    """
    hyperparameters = _hyperparameters(settings)
    data = read_dataset(_only_file(settings.training))
    if hyperparameters.split is not None:
        data = data.split(hyperparameters.split)
    options = Options(
        router=hyperparameters.router,
        average=hyperparameters.average,
        seed=hyperparameters.seed,
        n_clusters=hyperparameters.n_clusters,
        catalog=_catalog(settings.catalog),
    )
    settings.model.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.model.parent, prefix=".regroup-") as folder:
        scratch = Path(folder)
        trained = train(
            data,
            _encoder(settings, hyperparameters, data.texts, scratch / "encoder"),
            scratch / "artifact",
            options=options,
            cache_folder=cache_folder(settings.checkpoints, scratch / "cache"),
            champion=_champion(hyperparameters.champion),
            progress=_progress,
        )
        _report(trained)
        hand_over(scratch / "artifact", trained, settings)


def _champion(pointer: str | None) -> tuple[ObjectStore, str] | None:
    if pointer is None:
        return None
    # boto3 is the image's own, and a job without a champion needs none.
    from regroup.adapters.object_store import open_object

    return open_object(pointer)


def attempt(settings: Settings, work: Callable[[Settings], None] = run) -> int:
    """Run the job and return the exit status; why it failed goes into the failure file.

    An error of ours is written as it is. Of any other only the kind is: its text may quote a
    prompt.
    """
    try:
        work(settings)
    except RegroupError as error:
        reason = str(error)
    except Exception as error:
        # Lines of code only: neither values nor the error's own text.
        _LOG.info("".join(traceback.format_tb(error.__traceback__)).rstrip())
        reason = _kind(error)
    else:
        return 0
    _LOG.error("failed: %s", reason)
    settings.failure.parent.mkdir(parents=True, exist_ok=True)
    settings.failure.write_text(reason[:FAILURE_CHARS], encoding="utf-8")
    return 1


def main() -> int:
    """Run the job that the environment describes; return the exit status."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    _LOG.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _stop)
    try:
        return attempt(Settings.from_environment())
    except SystemExit:
        _LOG.info("stopped by SIGTERM")
        raise


def cache_folder(checkpoints: Path, otherwise: Path) -> Path:
    """Return where embeddings are kept, without caches that a restart found damaged.

    SageMaker copies checkpoints while they are written to, so that a copy may be torn.
    """
    if not checkpoints.is_dir():
        return otherwise
    for path in checkpoints.glob("*.sqlite"):
        if not _is_whole(path):
            _LOG.info("%s is damaged: all is embedded again", path.name)
            path.unlink()
            path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    return checkpoints


def hand_over(folder: Path, trained: Trained, settings: Settings) -> None:
    """Fill the job's folders: first what is not the artifact, then its parts, then its manifest."""
    manifest = trained.manifest
    artifact = (*manifest.parts, MANIFEST)
    metrics = {
        "digest": trained.digest,
        "router": manifest.router,
        "default_candidate": manifest.default_candidate,
        "n_clusters": manifest.n_clusters,
        "silhouette": manifest.silhouette,
        "verdict": asdict(manifest.verdict),
        "presets": {name: asdict(preset) for name, preset in manifest.presets.items()},
        "metrics": dict(manifest.metrics),
    }
    (folder / METRICS).write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    others = sorted(path.name for path in folder.iterdir() if path.name not in artifact)
    _move(others, folder, settings.output_data)
    (settings.model / MANIFEST).unlink(missing_ok=True)
    _move(artifact, folder, settings.model)


def _stop(_signal: int, _frame: object) -> None:
    """Leave through every `finally`, once."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(STOPPED)


def _kind(error: Exception) -> str:
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind}: {os.strerror(error.errno)}"
    return kind


def _hyperparameters(settings: Settings) -> Hyperparameters:
    if not settings.hyperparameters.is_file():
        return Hyperparameters()
    return Hyperparameters.from_json(settings.hyperparameters.read_bytes())


def _only_file(folder: Path | None) -> Path:
    """Return the one file of labelled data in the channel `training`."""
    if folder is None:
        raise ConfigurationError(
            "the job has no channel `training`: name the S3 folder of the labelled data"
        )
    found = sorted(path for pattern in DATA for path in folder.glob(pattern))
    if len(found) != 1:
        many = f"{len(found)} files of labelled data, from {found[0].name}" if found else "none"
        raise DataError(f"the channel `training` must hold one file {' or '.join(DATA)}: {many}")
    return found[0]


def _catalog(folder: Path | None) -> Catalog | None:
    if folder is None:
        return None
    path = folder / "catalog.json"
    if not path.is_file():
        raise ConfigurationError("the channel `catalog` holds no catalog.json")
    return read_catalog(path.read_bytes(), place=path.name)


def _encoder(
    settings: Settings, hyperparameters: Hyperparameters, texts: Sequence[str], build: Path
) -> Path:
    """Return the folder of the channel's encoder, else of an export of a packaged one."""
    chosen = hyperparameters.encoder
    if settings.encoder is not None:
        if chosen is not None:
            raise ConfigurationError(
                f"hyperparameter encoder is {chosen!r}, and the job has a channel `encoder` too: "
                "leave one out"
            )
        return find_encoder(str(settings.encoder), build)
    try:
        return find_encoder(chosen or encoder_for(texts), build)
    except DataError as error:
        raise DataError(
            "the job has no channel `encoder`: give it one, a folder that `regroup encoder` wrote "
            f"({error})"
        ) from error


def _is_whole(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as cache:
            return bool(cache.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _progress(done: int, total: int) -> None:
    _LOG.info("embedded %d of %d", done, total)


def _report(trained: Trained) -> None:
    """Log what SageMaker's metric definitions read, one `name=number;` a line."""
    manifest = trained.manifest
    verdict = manifest.verdict
    numbers = {
        "gain": verdict.gain,
        "gain_low": verdict.gain_low,
        "gain_high": verdict.gain_high,
        "silhouette": manifest.silhouette,
        "clusters": manifest.n_clusters,
    }
    for name, number in numbers.items():
        _LOG.info("%s=%.6f;", name, number)
    _LOG.info("artifact %s", trained.digest)
    _LOG.info("%s", verdict.sentence)


def _move(names: Iterable[str], source: Path, target: Path) -> None:
    """Move files one by one; each is there as a whole or not at all."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        waiting = target / f"{name}.part"
        # Not `Path.replace` alone: the folders may be mounts of their own.
        shutil.move(source / name, waiting)
        waiting.replace(target / name)


if __name__ == "__main__":
    raise SystemExit(main())
