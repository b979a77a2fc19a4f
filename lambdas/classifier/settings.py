"""What the classifier is told by its environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from regroup.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """The classifier's variables, checked. Names in capitals are those of the environment."""

    catalog_uri: str
    """CATALOG_URI: the catalog, `s3:` or `file:`."""
    pointer_uri: str | None = None
    """POINTER_URI: `pointer.json`; its prefix holds `artifacts/`. Without it nothing is routed."""
    cache_table: str | None = None
    """CACHE_TABLE: DynamoDB table of predictions, key `query_hash`. Without it: memory only."""
    cache_ttl_seconds: int = 7 * 24 * 3600
    """CACHE_TTL_SECONDS: how long a prediction is kept."""
    cache_timeout_seconds: float = 0.2
    """CACHE_TIMEOUT_SECONDS: how long the table may take; a slower one is bypassed."""
    sample_queue_url: str | None = None
    """SAMPLE_QUEUE_URL: SQS queue of sampled interactions. Without it nothing is sampled."""
    sample_rate: float = 0.0
    """SAMPLE_RATE: the part of answered requests that is sampled, in [0, 1]."""
    explore_share: float = 0.0
    """EXPLORE_SHARE: the part of decisions drawn by chance, in [0, 1]."""
    default_preset: str = "balanced"
    """DEFAULT_PRESET: what the model name `regroup` means."""
    default_candidate: str | None = None
    """DEFAULT_CANDIDATE: who answers while no router is published; else the cheapest."""
    model_path: str | None = None
    """MODEL_PATH: read the encoder from here; it must be the artifact's."""
    kmeans_path: str | None = None
    """KMEANS_PATH: read the K-means from here; it must be the artifact's."""
    n_clusters: int | None = None
    """N_CLUSTERS: the number of clusters the artifact must have."""
    candidate_models: tuple[str, ...] = ()
    """CANDIDATE_MODELS: the candidates the artifact must know, separated by commas."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read and check the variables.

        Raises:
            ConfigurationError: naming the variable and what it may be.
        """
        catalog_uri = environ.get("CATALOG_URI", "")
        if not catalog_uri:
            raise ConfigurationError("CATALOG_URI is not set: give s3://bucket/key or file:/path")
        return cls(
            catalog_uri=catalog_uri,
            pointer_uri=environ.get("POINTER_URI") or None,
            cache_table=environ.get("CACHE_TABLE") or None,
            cache_ttl_seconds=_number(environ, "CACHE_TTL_SECONDS", 7 * 24 * 3600, int, 1, 10**8),
            cache_timeout_seconds=_number(environ, "CACHE_TIMEOUT_SECONDS", 0.2, float, 0.01, 10),
            sample_queue_url=environ.get("SAMPLE_QUEUE_URL") or None,
            sample_rate=_number(environ, "SAMPLE_RATE", 0.0, float, 0, 1),
            explore_share=_number(environ, "EXPLORE_SHARE", 0.0, float, 0, 1),
            default_preset=environ.get("DEFAULT_PRESET") or "balanced",
            default_candidate=environ.get("DEFAULT_CANDIDATE") or None,
            model_path=environ.get("MODEL_PATH") or None,
            kmeans_path=environ.get("KMEANS_PATH") or None,
            n_clusters=_number(environ, "N_CLUSTERS", None, int, 1, 10_000),
            candidate_models=tuple(
                name.strip()
                for name in environ.get("CANDIDATE_MODELS", "").split(",")
                if name.strip()
            ),
        )


def _number[N: (int, float), D: (int, float, None)](
    environ: Mapping[str, str],
    name: str,
    default: D,
    kind: Callable[[str], N],
    low: float,
    high: float,
) -> N | D:
    text = environ.get(name, "")
    if not text:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = None
    # Written so that NaN is refused as well.
    if value is None or not low <= value <= high:
        raise ConfigurationError(f"{name} is {text!r}: it must be a number from {low} to {high}")
    return value
