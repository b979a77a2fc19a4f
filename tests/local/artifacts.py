"""The small router that tests and `make serve` use, trained on data of our own making."""

from pathlib import Path

from regroup.artifact import MANIFEST, digest_of
from regroup.catalog_file import read_catalog
from tests.local.sample_data import write_sample_data
from tests.local.stack import CATALOG, ROOT
from training.dataset import read_dataset
from training.encoder import ensure_minilm
from training.prepare import Options
from training.train import train

BUILD = ROOT / "build"


def sample_artifact(folder: Path, encoder: Path | None = None) -> tuple[Path, str]:
    """Train the small router into `folder`; return the folder and the artifact's digest.

    `encoder` is the folder of an exported encoder, MiniLM where none is named.
    """
    data = write_sample_data(folder / "sample.jsonl")
    catalog = read_catalog(CATALOG.read_bytes(), place=str(CATALOG))
    train(
        read_dataset(data),
        encoder or ensure_minilm(BUILD / "encoder"),
        folder / "artifact",
        options=Options(catalog=catalog, n_clusters=8),
        cache_folder=BUILD / "cache",
    )
    out = folder / "artifact"
    return out, digest_of((out / MANIFEST).read_bytes())
