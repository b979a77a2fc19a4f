"""Build the classifier from its settings: the one place that names adapters."""

import secrets
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config

from classifier.http import Api
from classifier.predictor import Predictor
from classifier.service import PRESETS, RouteService, Rules
from classifier.settings import Settings
from regroup.adapters.bedrock import BedrockChatModel
from regroup.adapters.dynamodb_cache import DynamoPredictionCache
from regroup.adapters.object_store import open_object
from regroup.adapters.onnx_encoder import OnnxEncoder
from regroup.adapters.sqs import SqsInteractionQueue
from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.artifact import (
    ENCODER,
    MANIFEST,
    Artifact,
    Manifest,
    digest_of,
    load_artifact,
    read_manifest,
)
from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from regroup.domain.pointer import read_pointer
from regroup.domain.query import BUILDER_VERSION
from regroup.errors import (
    ArtifactError,
    ArtifactIncompatibleError,
    ArtifactNotFoundError,
    ConfigurationError,
)
from regroup.kmeans_file import KMEANS
from regroup.ports import Clock, ObjectStore, PredictionCache

_PARALLEL_FETCHES = 4

_QUEUE_CONFIG = Config(connect_timeout=0.5, read_timeout=1, retries={"total_max_attempts": 1})


@dataclass(frozen=True, slots=True)
class Application:
    """All that the handler needs."""

    api: Api
    telemetry: PowertoolsTelemetry


def build_application(settings: Settings) -> Application:
    """Read catalog and artifact, and wire the service.

    Raises:
        ConfigurationError: settings, catalog and artifact contradict each other.
        StoreError: S3 did not answer; Lambda will build again on the next request.
    """
    telemetry = PowertoolsTelemetry(component="classifier")
    catalog = load_catalog(settings)
    service = RouteService(
        catalog=catalog,
        predictor=load_predictor(settings, catalog, telemetry),
        chat_model=BedrockChatModel(),
        queue=_queue(settings),
        telemetry=telemetry,
        clock=Clock(wall=time.time, monotonic=time.monotonic),
        # From the operating system at each call: equal ids cannot follow from a snapshot.
        new_id=lambda: secrets.token_hex(16),
        rules=_rules(settings, catalog),
    )
    return Application(Api(service), telemetry)


def load_catalog(settings: Settings) -> Catalog:
    """Read the catalog that CATALOG_URI names.

    Raises:
        ConfigurationError: nothing lies there.
        DataError: it cannot be used; the message names the field.
    """
    store, key = open_object(settings.catalog_uri)
    try:
        content = store.read(key).content
    except ArtifactNotFoundError as error:
        raise ConfigurationError(f"CATALOG_URI: {error}") from error
    return read_catalog(content, place=settings.catalog_uri)


def load_predictor(
    settings: Settings, catalog: Catalog, telemetry: PowertoolsTelemetry
) -> Predictor | None:
    """Load the live artifact through the pointer; None where none is published or it is broken.

    Raises:
        ConfigurationError: the artifact is sound, but contradicts an explicit setting.
    """
    if settings.pointer_uri is None:
        return None
    store, key = open_object(settings.pointer_uri)
    try:
        digest = read_pointer(store.read(key).content).champion
        artifact = _load(settings, store, digest)
        _check_fit(artifact.manifest, catalog)
        encoder = OnnxEncoder(
            artifact.encoder_onnx,
            artifact.tokenizer,
            prefix=artifact.manifest.encoder.prefix,
            max_tokens=artifact.manifest.encoder.max_tokens,
        )
    except ArtifactNotFoundError as error:
        # Normal on day 0; the line tells it from a pointer to a missing artifact.
        telemetry.failure(f"no artifact: {error}", error)
        return None
    except ArtifactError as error:
        telemetry.failure(f"artifact rejected: {error}", error)
        telemetry.count("ArtifactRejected")
        return None
    return Predictor(
        digest=artifact.digest,
        manifest=artifact.manifest,
        heads=artifact.heads,
        encoder=encoder,
        telemetry=telemetry,
        cache=_cache(settings),
    )


def _load(settings: Settings, store: ObjectStore, digest: str) -> Artifact:
    known = {MANIFEST: store.read(f"artifacts/{digest}/{MANIFEST}").content}
    known |= _explicit_parts(settings, read_manifest(known[MANIFEST], digest))

    def fetch(name: str) -> bytes:
        return known.get(name) or store.read(f"artifacts/{digest}/{name}").content

    with ThreadPoolExecutor(max_workers=_PARALLEL_FETCHES) as pool:
        return load_artifact(digest, fetch, pool.map)


def _explicit_parts(settings: Settings, manifest: Manifest) -> Mapping[str, bytes]:
    """Read the parts that have a variable of their own; all that is explicit must agree."""
    n_clusters, models = settings.n_clusters, settings.candidate_models
    if n_clusters is not None and n_clusters != manifest.n_clusters:
        raise ConfigurationError(
            f"N_CLUSTERS is {n_clusters}, but the live artifact has {manifest.n_clusters} "
            "clusters: unset N_CLUSTERS, or publish an artifact with that many"
        )
    if models and set(models) != set(manifest.candidates):
        raise ConfigurationError(
            f"CANDIDATE_MODELS is {', '.join(models)}, but the live artifact knows "
            f"{', '.join(manifest.candidates)}: unset CANDIDATE_MODELS, or train with those"
        )
    parts: dict[str, bytes] = {}
    explicit = (
        ("MODEL_PATH", settings.model_path, ENCODER),
        ("KMEANS_PATH", settings.kmeans_path, KMEANS),
    )
    for variable, address, name in explicit:
        if address is None:
            continue
        store, key = open_object(address if ":" in address else Path(address).resolve().as_uri())
        try:
            parts[name] = store.read(key).content
        except ArtifactNotFoundError as error:
            raise ConfigurationError(f"{variable}: {error}") from error
        if digest_of(parts[name]) != manifest.parts[name].sha256:
            raise ConfigurationError(
                f"{variable} is {address}, which is not the {name} of the live artifact: "
                f"unset {variable}, or publish an artifact made with that file"
            )
    return parts


def _check_fit(manifest: Manifest, catalog: Catalog) -> None:
    if manifest.query_builder != BUILDER_VERSION:
        raise ArtifactIncompatibleError(
            f"the artifact wants query builder {manifest.query_builder}, "
            f"this classifier has {BUILDER_VERSION}"
        )
    if not set(manifest.candidates) & set(catalog.names):
        raise ArtifactIncompatibleError(
            f"the artifact knows {', '.join(manifest.candidates)}, "
            f"the catalog has {', '.join(catalog.names)}: no candidate in common"
        )
    missing = set(PRESETS) - set(manifest.presets)
    if missing:
        raise ArtifactIncompatibleError(f"the artifact lacks the presets {sorted(missing)}")


def _cache(settings: Settings) -> PredictionCache | None:
    if settings.cache_table is None:
        return None
    # A prediction takes milliseconds: a slow table is not worth waiting for.
    seconds = settings.cache_timeout_seconds
    config = Config(
        connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1}
    )
    client = boto3.client("dynamodb", config=config)
    return DynamoPredictionCache(
        settings.cache_table, client, ttl_seconds=settings.cache_ttl_seconds
    )


def _queue(settings: Settings) -> SqsInteractionQueue | None:
    if settings.sample_queue_url is None or settings.sample_rate == 0.0:
        return None
    client = boto3.client("sqs", config=_QUEUE_CONFIG)
    return SqsInteractionQueue(settings.sample_queue_url, client)


def _rules(settings: Settings, catalog: Catalog) -> Rules:
    default = settings.default_candidate or catalog.cheapest()
    if default not in catalog.candidates:
        raise ConfigurationError(
            f"DEFAULT_CANDIDATE is {default!r}; the catalog has {', '.join(catalog.names)}"
        )
    if settings.default_preset not in PRESETS:
        raise ConfigurationError(
            f"DEFAULT_PRESET is {settings.default_preset!r}; it may be {', '.join(PRESETS)}"
        )
    return Rules(
        default_preset=settings.default_preset,
        default_candidate=default,
        explore_share=settings.explore_share,
        sample_rate=settings.sample_rate,
    )
