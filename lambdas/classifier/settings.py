"""What the classifier is told by its environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from regroup.domain.catalog import Residency
from regroup.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Settings:
    """The classifier's variables, checked. Names in capitals are those of the environment."""

    catalog_uri: str
    """CATALOG_URI: the catalog, `s3:` or `file:`."""
    pointer_uri: str | None = None
    """POINTER_URI: `pointer.json`; its prefix holds `artifacts/`. Without it nothing is routed."""
    pointer_check_seconds: float = 30.0
    """POINTER_CHECK_SECONDS: how often a published router is looked for, at most."""
    cache_table: str | None = None
    """CACHE_TABLE: DynamoDB table of predictions, key `query_hash`. Without it: memory only."""
    cache_ttl_seconds: int = 7 * 24 * 3600
    """CACHE_TTL_SECONDS: how long a prediction is kept."""
    cache_timeout_seconds: float = 0.2
    """CACHE_TIMEOUT_SECONDS: how long the table may take; a slower one is bypassed."""
    sessions_table: str | None = None
    """SESSIONS_TABLE: DynamoDB table of conversations, key `session_id`. Without: memory only."""
    session_ttl_seconds: int = 24 * 3600
    """SESSION_TTL_SECONDS: how long a conversation is remembered after its last answer."""
    keys_table: str | None = None
    """KEYS_TABLE: DynamoDB table of keys and what they spent. Without it no budget is kept."""
    budget_when_unknown: Literal["cheapest", "closed", "open"] = "cheapest"
    """BUDGET_WHEN_UNKNOWN: who answers while that table fails: `cheapest`, `closed` or `open`."""
    decisions_table: str | None = None
    """DECISIONS_TABLE: DynamoDB table of decisions, key `decision_id`. Without it: no feedback."""
    decision_ttl_seconds: int = 30 * 24 * 3600
    """DECISION_TTL_SECONDS: how long a decision can be judged."""
    table_timeout_seconds: float = 0.2
    """TABLE_TIMEOUT_SECONDS: how long each of these three tables may take."""
    timezone: tzinfo = UTC
    """TIMEZONE: whose midnight begins a budget's day; Asia/Tokyo where it is not set."""
    residency: Residency | None = None
    """RESIDENCY: `jp`, `apac`, `us`: prompts are processed nowhere else. Without it: anywhere."""
    sample_queue_url: str | None = None
    """SAMPLE_QUEUE_URL: SQS queue of sampled interactions. Without it nothing is sampled."""
    sample_rate: float = 0.0
    """SAMPLE_RATE: the part of answered requests that is sampled, in [0, 1]."""
    explore_share: float = 0.0
    """EXPLORE_SHARE: the part of decisions drawn by chance, in [0, 1]."""
    explore_floor: float = 0.0
    """EXPLORE_FLOOR: the least probability of each candidate that may be drawn."""
    explore_max_cost_usd: float | None = None
    """EXPLORE_MAX_COST_USD: the most that an answer drawn by chance may cost."""
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
            pointer_check_seconds=_number(environ, "POINTER_CHECK_SECONDS", 30.0, float, 0, 3_600),
            cache_table=environ.get("CACHE_TABLE") or None,
            cache_ttl_seconds=_number(environ, "CACHE_TTL_SECONDS", 7 * 24 * 3600, int, 1, 10**8),
            cache_timeout_seconds=_number(environ, "CACHE_TIMEOUT_SECONDS", 0.2, float, 0.01, 10),
            sessions_table=environ.get("SESSIONS_TABLE") or None,
            session_ttl_seconds=_number(environ, "SESSION_TTL_SECONDS", 24 * 3600, int, 1, 10**8),
            keys_table=environ.get("KEYS_TABLE") or None,
            budget_when_unknown=_one_of(
                environ, "BUDGET_WHEN_UNKNOWN", ("cheapest", "closed", "open")
            ),
            decisions_table=environ.get("DECISIONS_TABLE") or None,
            decision_ttl_seconds=_number(
                environ, "DECISION_TTL_SECONDS", 30 * 24 * 3600, int, 1, 10**8
            ),
            table_timeout_seconds=_number(environ, "TABLE_TIMEOUT_SECONDS", 0.2, float, 0.01, 10),
            timezone=_zone(environ),
            residency=_one_of(environ, "RESIDENCY", ("", *get_args(Residency.__value__))) or None,
            sample_queue_url=environ.get("SAMPLE_QUEUE_URL") or None,
            sample_rate=_number(environ, "SAMPLE_RATE", 0.0, float, 0, 1),
            explore_share=_number(environ, "EXPLORE_SHARE", 0.0, float, 0, 1),
            explore_floor=_number(environ, "EXPLORE_FLOOR", 0.0, float, 0, 0.5),
            explore_max_cost_usd=_number(environ, "EXPLORE_MAX_COST_USD", None, float, 0, 10_000),
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


def _one_of[T: str](environ: Mapping[str, str], name: str, known: tuple[T, ...]) -> T:
    """Return one of the known words, the first where none is set."""
    text = environ.get(name, "") or known[0]
    for word in known:
        if word == text:
            return word
    words = ", ".join(word for word in known if word)
    raise ConfigurationError(f"{name} is {text!r}: it may be {words}")


def _zone(environ: Mapping[str, str]) -> ZoneInfo:
    name = environ.get("TIMEZONE") or "Asia/Tokyo"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"TIMEZONE is {name!r}: use a name such as Asia/Tokyo or UTC"
        ) from error


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
