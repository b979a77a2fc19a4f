"""Build the classifier from its settings: the one place that names adapters."""

import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from classifier.ask import PRESETS, Rules
from classifier.budgets import Budgets
from classifier.caller import Caller
from classifier.clients import Clients
from classifier.decider import Decider
from classifier.feedback import FeedbackService
from classifier.http import Api
from classifier.predictor import Predictor
from classifier.record import Recorder
from classifier.releases import Releases, Source
from classifier.runners import beside, side_by_side
from classifier.service import RouteService
from classifier.sessions import Sessions
from classifier.settings import Settings
from classifier.snapshot import Snapshot
from classifier.stopwatch import Stopwatch
from regroup.adapters.bedrock import BedrockChatModel
from regroup.adapters.dynamodb_budgets import DynamoBudgetStore
from regroup.adapters.dynamodb_cache import DynamoPredictionCache
from regroup.adapters.dynamodb_decisions import DynamoDecisionStore
from regroup.adapters.dynamodb_sessions import DynamoSessionStore
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
    part_names,
    read_manifest,
)
from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from regroup.domain.fallback import Cooldowns
from regroup.domain.golden import find_deviation
from regroup.domain.pointer import Pointer, read_pointer
from regroup.domain.query import BUILDER_VERSION
from regroup.errors import (
    ArtifactIncompatibleError,
    ArtifactNotFoundError,
    ConfigurationError,
)
from regroup.kmeans_file import KMEANS
from regroup.ports import (
    BudgetStore,
    Clock,
    DecisionStore,
    ObjectStore,
    PredictionCache,
    SessionStore,
)

_PARALLEL_FETCHES = 2
"""The encoder and, meanwhile, the rest: for each connection more, botocore reads every root
certificate again."""

_LONGEST_WAIT_SECONDS = 29.0
"""A REST API hangs up then: no request waits longer for a model."""


@dataclass(frozen=True, slots=True)
class Application:
    """All that the handler needs."""

    api: Api
    telemetry: PowertoolsTelemetry
    snapshot: Snapshot


def build_application(settings: Settings, watch: Stopwatch | None = None) -> Application:
    """Read catalog and artifact, wire the service, and log how long which part of it took.

    Args:
        settings: what the environment says.
        watch: runs since the start began, where that was before this call.

    Raises:
        ConfigurationError: settings, catalog and artifact contradict each other.
        StoreError: S3 did not answer; Lambda will build again on the next request.
    """
    watch = watch or Stopwatch(time.monotonic)
    telemetry = PowertoolsTelemetry(component="classifier")
    clients = Clients()
    with watch.part("catalog"):
        catalog = load_catalog(settings, clients)
    rules = _rules(settings, catalog)
    clock = Clock(wall=time.time, monotonic=time.monotonic)
    tables = _Tables(settings, clients)
    queue, decisions = _queue(settings, clients), tables.decisions()
    cooldowns, sessions = (
        Cooldowns(),
        Sessions(tables.sessions(), telemetry, settings.session_ttl_seconds),
    )
    releases = Releases(
        _source(settings, clients, catalog, telemetry, watch),
        telemetry,
        wall=clock.wall,
        monotonic=clock.monotonic,
        run=beside,
        check_seconds=settings.pointer_check_seconds,
    )
    releases.start()
    decider = Decider(
        catalog=catalog,
        releases=releases,
        sessions=sessions,
        cooldowns=cooldowns,
        telemetry=telemetry,
        clock=clock,
        # From the operating system at each call: equal ids cannot follow from a snapshot.
        new_id=lambda: secrets.token_hex(16),
        rules=rules,
    )
    chat_model = BedrockChatModel(clients.bedrock)
    service = RouteService(
        decider=decider,
        caller=Caller(catalog, chat_model, cooldowns, telemetry, clock),
        budgets=Budgets(tables.budgets(), telemetry, settings.budget_when_unknown),
        recorder=Recorder(
            catalog=catalog,
            sessions=sessions,
            decisions=decisions,
            queue=queue,
            telemetry=telemetry,
            clock=clock,
            sample_rate=rules.sample_rate,
            run=side_by_side,
        ),
        telemetry=telemetry,
        clock=clock,
        rules=rules,
    )
    feedback = FeedbackService(decisions, queue, telemetry, clock)
    regions = {one.region for one in catalog.candidates.values()}
    snapshot = Snapshot(
        prepare=lambda: chat_model.prepare(regions, timeout_seconds=_LONGEST_WAIT_SECONDS),
        disconnect=clients.disconnect,
        follow=releases.resume,
    )
    telemetry.event(_started_line(watch, releases))
    return Application(Api(service, feedback), telemetry, snapshot)


def _started_line(watch: Stopwatch, releases: Releases) -> Mapping[str, object]:
    champion = releases.live.champion
    return {
        "event": "started",
        **watch.milliseconds(),
        "version": None if champion is None else champion.digest,
        "degraded": releases.is_degraded,
    }


def load_catalog(settings: Settings, clients: Clients) -> Catalog:
    """Read the catalog that CATALOG_URI names.

    Raises:
        ConfigurationError: nothing lies there.
        DataError: it cannot be used; the message names the field.
    """
    store, key = open_object(settings.catalog_uri, clients.s3)
    try:
        content = store.read(key).content
    except ArtifactNotFoundError as error:
        raise ConfigurationError(f"CATALOG_URI: {error}") from error
    return read_catalog(content, place=settings.catalog_uri)


def _predictor(
    artifact: Artifact, telemetry: PowertoolsTelemetry, cache: PredictionCache | None
) -> Predictor:
    encoder = OnnxEncoder(
        artifact.encoder_onnx,
        artifact.tokenizer,
        prefix=artifact.manifest.encoder.prefix,
        max_tokens=artifact.manifest.encoder.max_tokens,
    )
    return Predictor(
        digest=artifact.digest,
        manifest=artifact.manifest,
        heads=artifact.heads,
        encoder=encoder,
        telemetry=telemetry,
        cache=cache,
        uncertainty=artifact.uncertainty,
    )


def _source(
    settings: Settings,
    clients: Clients,
    catalog: Catalog,
    telemetry: PowertoolsTelemetry,
    watch: Stopwatch,
) -> Source | None:
    """Return where releases come from; `watch` is read after the start and never again."""
    if settings.pointer_uri is None:
        return None
    store, key = open_object(settings.pointer_uri, clients.s3)
    cache = _Tables(settings, clients).predictions()

    def read() -> tuple[str, Pointer]:
        with watch.part("pointer"):
            stored = store.read(key)
            return stored.tag, read_pointer(stored.content)

    def load(digest: str, in_haste: bool) -> Predictor:
        with watch.part("fetch"):
            fetched = _fetch(settings, clients, store, digest)
        with watch.part("check"):
            artifact = load_artifact(digest, fetched)
            _check_fit(artifact.manifest, catalog)
        with watch.part("session"):
            predictor = _predictor(artifact, telemetry, cache)
        if artifact.golden is not None:
            golden = artifact.golden.brief() if in_haste else artifact.golden
            with watch.part("golden"):
                deviation = find_deviation(golden, predictor.predict_text)
            if deviation is not None:
                raise ArtifactIncompatibleError(deviation)
        return predictor

    return Source(read, load)


def _fetch(
    settings: Settings, clients: Clients, store: ObjectStore, digest: str
) -> Callable[[str], bytes]:
    """Fetch the files of an artifact all at once, and return what hands them out by name."""

    def fetch(name: str) -> bytes:
        return store.read(f"artifacts/{digest}/{name}").content

    content = fetch(MANIFEST)
    manifest = read_manifest(content, digest)
    known = {MANIFEST: content, **_explicit_parts(settings, clients, manifest)}
    with ThreadPoolExecutor(_PARALLEL_FETCHES, "fetch") as pool:
        missing = [name for name in part_names(manifest) if name not in known]
        coming = {name: pool.submit(fetch, name) for name in missing}
    return lambda name: known[name] if name in known else coming[name].result()


def _explicit_parts(
    settings: Settings, clients: Clients, manifest: Manifest
) -> Mapping[str, bytes]:
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
        uri = address if ":" in address else Path(address).resolve().as_uri()
        store, key = open_object(uri, clients.s3)
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


@dataclass(frozen=True, slots=True)
class _Tables:
    """The DynamoDB tables that settings name; each waits no longer than it is told to."""

    settings: Settings
    clients: Clients

    def predictions(self) -> PredictionCache | None:
        name, ttl = self.settings.cache_table, self.settings.cache_ttl_seconds
        if name is None:
            return None
        client = self.clients.dynamodb(self.settings.cache_timeout_seconds)
        return DynamoPredictionCache(name, client, ttl_seconds=ttl)

    def sessions(self) -> SessionStore | None:
        name, ttl = self.settings.sessions_table, self.settings.session_ttl_seconds
        if name is None:
            return None
        client = self.clients.dynamodb(self.settings.table_timeout_seconds)
        return DynamoSessionStore(name, client, ttl_seconds=ttl)

    def decisions(self) -> DecisionStore | None:
        name, ttl = self.settings.decisions_table, self.settings.decision_ttl_seconds
        if name is None:
            return None
        client = self.clients.dynamodb(self.settings.table_timeout_seconds)
        return DynamoDecisionStore(name, client, ttl_seconds=ttl)

    def budgets(self) -> BudgetStore | None:
        name = self.settings.keys_table
        if name is None:
            return None
        return DynamoBudgetStore(name, self.clients.dynamodb(self.settings.table_timeout_seconds))


def _queue(settings: Settings, clients: Clients) -> SqsInteractionQueue | None:
    if settings.sample_queue_url is None:
        return None
    return SqsInteractionQueue(settings.sample_queue_url, clients.sqs())


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
        sample_rate=settings.sample_rate,
        explore_share=settings.explore_share,
        explore_floor=settings.explore_floor,
        explore_max_cost_usd=settings.explore_max_cost_usd,
        residency=settings.residency,
        timezone=settings.timezone,
    )
