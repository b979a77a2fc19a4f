"""What a deployment costs a month: what costs by existing, what each request adds, the models.

A line is a part that is there without a single request and a part that each request adds, so one
bill holds for any number of them. All at list prices: no free allowance is taken off.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from regroup.domain.catalog import Candidate, Catalog

type Unit = Literal["month", "million", "GB", "GB-month", "million GB-seconds"]
type Mix = Mapping[str, float]
"""The part of the requests that each candidate answers; the parts add up to 1."""

MONTH_HOURS = 730
MONTH_DAYS = 30
MIX: Mix = {"haiku": 0.65, "nova-lite": 0.2, "sonnet": 0.15}
"""The shares of GROWTH.md's simulation; what llama-70b answers there is haiku's."""

_MILLION = 1_000_000
_MB_IN_GB = 1024
_KB_IN_GB = 1_000_000
_MONTH_SECONDS = MONTH_HOURS * 3600
_KEY_REUSED_SECONDS = 300
_POLL_SECONDS = 20

_MONTH: Mapping[str, Unit] = {"unit": "month"}
_EACH: Mapping[str, Unit] = {"unit": "million"}
_GB: Mapping[str, Unit] = {"unit": "GB"}
_GB_MONTH: Mapping[str, Unit] = {"unit": "GB-month"}
_GB_SECOND: Mapping[str, Unit] = {"unit": "million GB-seconds"}


@dataclass(frozen=True, slots=True)
class Price:
    """A list price in USD without tax, with where and when it was read."""

    usd: float
    unit: Unit
    source: str
    as_of: date

    @property
    def each(self) -> float:
        """The USD of a single request, GB, GB-second or thing kept for a month."""
        return self.usd / _MILLION if self.unit.startswith("million") else self.usd

    @property
    def is_recalled(self) -> bool:
        """Whether it was not read anywhere, but remembered."""
        return self.source.startswith("recalled")


@dataclass(frozen=True, slots=True)
class Prices:
    """What AWS asks for all but the models, in one region. The metadata say the unit of each."""

    kms_key: Price = field(metadata=_MONTH)
    kms_request: Price = field(metadata=_EACH)
    alarm: Price = field(metadata=_MONTH)
    custom_metric: Price = field(metadata=_MONTH)
    dashboard: Price = field(metadata=_MONTH)
    log_ingest: Price = field(metadata=_GB)
    log_storage: Price = field(metadata=_GB_MONTH)
    log_query: Price = field(metadata=_GB)
    lambda_request: Price = field(metadata=_EACH)
    lambda_duration: Price = field(metadata=_GB_SECOND)
    lambda_provisioned: Price = field(metadata=_GB_SECOND)
    snap_start_cache: Price = field(metadata=_GB_SECOND)
    snap_start_restore: Price = field(metadata=_GB)
    rest_request: Price = field(metadata=_EACH)
    table_write: Price = field(metadata=_EACH)
    table_read: Price = field(metadata=_EACH)
    table_storage: Price = field(metadata=_GB_MONTH)
    table_recovery: Price = field(metadata=_GB_MONTH)
    object_storage: Price = field(metadata=_GB_MONTH)
    object_write: Price = field(metadata=_EACH)
    object_read: Price = field(metadata=_EACH)
    queue_request: Price = field(metadata=_EACH)
    web_acl: Price = field(metadata=_MONTH)
    web_acl_rule: Price = field(metadata=_MONTH)
    web_acl_request: Price = field(metadata=_EACH)
    transfer_out: Price = field(metadata=_GB)
    budget: Price = field(metadata=_MONTH)
    anomaly_monitor: Price = field(metadata=_MONTH)


@dataclass(frozen=True, slots=True)
class Deployment:
    """How many there are of what Terraform makes with its defaults: the Small deployment."""

    kms_keys: int = 1
    kms_users: int = 10
    """Each function with each table, bucket and queue; it asks for a data key at most once in five
    minutes."""
    alarms: int = 12
    """Each metric that an alarm looks at is one: an alarm on a rate of two metrics counts twice."""
    custom_metrics: int = 10
    """Each name with each value of its dimensions is one, in the hours in which it is written:
    eight where nothing goes wrong."""
    dashboards: int = 1
    budgets: int = 4
    """The deployment's and one for each candidate."""
    anomaly_monitors: int = 0
    """`anomaly_detection` makes one; it costs nothing."""
    log_groups: int = 5
    log_retention_days: int = 365
    sample_retention_days: int = 90
    queue_pollers: int = 5
    """Lambda polls the queue of a function with so many calls at once, messages or none."""
    stored_gb: float = 1.0
    """Artifacts, zips and their old versions in S3."""
    classifier_memory_mb: int = 1769
    """One whole core: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
    authorizer_memory_mb: int = 512
    collector_memory_mb: int = 512
    web_acl_rules: int = 3
    snap_start_versions: int = 1
    provisioned_instances: int = 1


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one request is like: assumed, where no measurement is named."""

    input_tokens: int = 1_000
    output_tokens: int = 500
    sample_rate: float = 0.1
    """SAMPLE_RATE: the part of the answers that is sampled, and scored by the judge."""
    judge_instruction_tokens: int = 300
    """What a judge reads beside prompt and answer."""
    judge_output_tokens: int = 80
    router_seconds: float = 0.1
    """The router's own time with its tables; GROWTH.md has 42 ms of it."""
    authorizer_seconds: float = 0.05
    """Asked at every request: less where a key comes again within the minute it is cached."""
    collector_seconds: float = 0.2
    """One invocation for each sample."""
    cold_share: float = 0.1
    """The part of the invocations that start an instance, whose init is billed."""
    init_seconds: float = 0.9
    """`make bench-runtime`: 894 ms with e5-small, 713 ms with MiniLM."""
    table_writes: float = 4.8
    table_reads: float = 3.0
    """Units, counted in GROWTH.md; the authorizer reads one more."""
    table_kilobytes: float = 1.0
    """What lies in the tables for each request of a month, until it expires."""
    log_kilobytes: float = 4.0
    """2.0 of them are the classifier's own with four candidates; the rest Lambda's, the
    authorizer's and the gateway's."""
    log_scans: float = 20.0
    """How often the dashboard and saved queries read a month's log."""
    object_reads: float = 2.0
    """The pointer, looked at every 30 seconds at most, and the parts of an artifact at a start."""
    sample_kilobytes: float = 10.0
    answer_kilobytes: float = 4.0
    """What leaves AWS: the answer's text as JSON."""


class Section(StrEnum):
    """The parts of a bill."""

    STANDING = "infrastructure, by existing"
    REQUESTS = "infrastructure, by requests"
    MODELS = "models"
    REWARD = "reward"
    OPTIONAL = "optional, what it would add"
    INSTEAD = "one model alone, instead of the mix"


INFRASTRUCTURE = frozenset({Section.STANDING, Section.REQUESTS})
COUNTED = INFRASTRUCTURE | {Section.MODELS, Section.REWARD}
"""What the total holds."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill, in USD without tax."""

    section: Section
    name: str
    basis: str
    """How it was counted."""
    month_usd: float = 0.0
    """Without a single request."""
    request_usd: float = 0.0
    """Added by each."""

    def usd(self, requests: float) -> float:
        """Return the USD of a month with so many requests."""
        return self.month_usd + requests * self.request_usd


def total_usd(
    lines: Sequence[Line], requests: float, sections: Collection[Section] = COUNTED
) -> float:
    """Add up the lines of some sections, in USD a month."""
    return sum(line.usd(requests) for line in lines if line.section in sections)


def bill(
    deployment: Deployment, traffic: Traffic, prices: Prices, catalog: Catalog, mix: Mix
) -> tuple[Line, ...]:
    """Return every line of the monthly bill.

    Args:
        deployment: what there is.
        traffic: what a request is like.
        prices: of all but the models.
        catalog: the models and their prices; the cheapest of them is the judge.
        mix: who answers how much; names of the catalog.
    """
    seconds = answer_seconds(traffic, catalog, mix)
    return (
        *_standing(deployment, prices),
        *_functions(deployment, traffic, prices, seconds),
        *_stores(deployment, traffic, prices),
        *_logs_and_answers(deployment, traffic, prices),
        *_models(traffic, catalog, mix),
        _judge(traffic, catalog),
        *_optional(deployment, traffic, prices),
        *_instead(traffic, catalog, mix),
    )


def answer_seconds(traffic: Traffic, catalog: Catalog, mix: Mix) -> float:
    """Return how long an instance waits for an answer on average."""
    return sum(
        share * traffic.output_tokens / catalog.candidates[name].output_tokens_per_second
        for name, share in mix.items()
    )


def _standing(deployment: Deployment, prices: Prices) -> list[Line]:
    key_requests = deployment.kms_users * _MONTH_SECONDS / _KEY_REUSED_SECONDS
    polls = deployment.queue_pollers * _MONTH_SECONDS / _POLL_SECONDS
    rows = (
        ("KMS key", "{:g}", deployment.kms_keys, prices.kms_key),
        ("KMS requests", "at most {:,.0f}", key_requests, prices.kms_request),
        ("alarms", "{:g}", deployment.alarms, prices.alarm),
        ("custom metrics", "{:g}", deployment.custom_metrics, prices.custom_metric),
        ("dashboard", "{:g}", deployment.dashboards, prices.dashboard),
        ("SQS, polling", "{:,.0f} calls, messages or none", polls, prices.queue_request),
        ("S3, artifacts and zips", "{:g} GB", deployment.stored_gb, prices.object_storage),
        ("budgets", "{:g}, without actions", deployment.budgets, prices.budget),
        ("anomaly detection", "{:g} monitor", deployment.anomaly_monitors, prices.anomaly_monitor),
    )
    return [
        Line(Section.STANDING, name, basis.format(count), month_usd=count * price.each)
        for name, basis, count, price in rows
    ]


def _functions(
    deployment: Deployment, traffic: Traffic, prices: Prices, seconds: float
) -> list[Line]:
    sampled, init_seconds = traffic.sample_rate, traffic.cold_share * traffic.init_seconds
    functions = (
        ("classifier", 1.0, deployment.classifier_memory_mb, seconds + traffic.router_seconds),
        ("authorizer", 1.0, deployment.authorizer_memory_mb, traffic.authorizer_seconds),
        ("collector", sampled, deployment.collector_memory_mb, traffic.collector_seconds),
    )
    calls = sum(share for _, share, _, _ in functions)
    lines = [
        _used("REST API", "1 request", prices.rest_request.each),
        _used("Lambda, invocations", f"{calls:g}", calls * prices.lambda_request.each),
    ]
    for name, share, memory_mb, busy_seconds in functions:
        billed = busy_seconds + init_seconds
        basis = f"{share:g} x {billed:.2f} s (init {init_seconds:.2f}) x {memory_mb:,} MB"
        gb_seconds = share * billed * memory_mb / _MB_IN_GB
        lines.append(_used(f"Lambda, {name}", basis, gb_seconds * prices.lambda_duration.each))
    return lines


def _stores(deployment: Deployment, traffic: Traffic, prices: Prices) -> list[Line]:
    sampled, table_kb = traffic.sample_rate, traffic.table_kilobytes
    days = deployment.sample_retention_days
    kept_kb = sampled * traffic.sample_kilobytes * days / MONTH_DAYS
    stored_kb_usd = prices.object_storage.each / _KB_IN_GB
    rows = (
        ("DynamoDB, writes", "{:g} units", traffic.table_writes, prices.table_write.each),
        ("DynamoDB, reads", "{:g} units", traffic.table_reads, prices.table_read.each),
        ("DynamoDB, storage", "{:g} KB", table_kb, prices.table_storage.each / _KB_IN_GB),
        ("DynamoDB, recovery", "{:g} KB", table_kb, prices.table_recovery.each / _KB_IN_GB),
        ("S3, samples written", "{:g}", sampled, prices.object_write.each),
        ("S3, samples kept", f"{{:g}} KB, {days} days", kept_kb, stored_kb_usd),
        ("S3, reads", "{:g}", traffic.object_reads, prices.object_read.each),
        ("SQS, samples", "{:g}: send, receive, delete", 3 * sampled, prices.queue_request.each),
    )
    return [_used(name, basis.format(count), count * each) for name, basis, count, each in rows]


def _logs_and_answers(deployment: Deployment, traffic: Traffic, prices: Prices) -> list[Line]:
    days, scans, groups = deployment.log_retention_days, traffic.log_scans, deployment.log_groups
    log_kb, sent_kb = traffic.log_kilobytes, traffic.answer_kilobytes
    rows = (
        ("logs, written", f"{{:g}} KB to {groups} log groups", log_kb, prices.log_ingest),
        ("logs, kept", f"{{:.3g}} KB, {days} days", log_kb * days / MONTH_DAYS, prices.log_storage),
        ("logs, read", f"{{:g}} KB, {scans:g} scans", log_kb * scans, prices.log_query),
        ("data transfer", "{:g} KB to the internet", sent_kb, prices.transfer_out),
    )
    return [
        _used(name, basis.format(kilobytes), kilobytes * price.each / _KB_IN_GB)
        for name, basis, kilobytes, price in rows
    ]


def percent(share: float) -> str:
    """Write a part of 1."""
    return f"{100 * share:.3g} %"


def _used(name: str, basis: str, usd: float) -> Line:
    return Line(Section.REQUESTS, name, basis, request_usd=usd)


def _models(traffic: Traffic, catalog: Catalog, mix: Mix) -> list[Line]:
    return [
        Line(
            Section.MODELS,
            name,
            f"{percent(share)} of the requests, {_tokens(traffic)}",
            request_usd=share * _answer_usd(catalog.candidates[name], traffic),
        )
        for name, share in mix.items()
    ]


def _instead(traffic: Traffic, catalog: Catalog, mix: Mix) -> list[Line]:
    return [
        Line(
            Section.INSTEAD,
            name,
            f"all requests, {_tokens(traffic)}",
            request_usd=_answer_usd(catalog.candidates[name], traffic),
        )
        for name in mix
    ]


def _tokens(traffic: Traffic) -> str:
    return f"{traffic.input_tokens:,} tokens in, {traffic.output_tokens:,} out"


def _answer_usd(candidate: Candidate, traffic: Traffic) -> float:
    return candidate.cost_usd(traffic.input_tokens, traffic.output_tokens)


def _judge(traffic: Traffic, catalog: Catalog) -> Line:
    judge = catalog.candidates[catalog.cheapest()]
    read = traffic.input_tokens + traffic.output_tokens + traffic.judge_instruction_tokens
    usd = judge.cost_usd(read, traffic.judge_output_tokens)
    return Line(
        Section.REWARD,
        f"{judge.name} as judge",
        f"{percent(traffic.sample_rate)} of the answers, {read:,} tokens in, "
        f"{traffic.judge_output_tokens} out",
        request_usd=traffic.sample_rate * usd,
    )


def _optional(deployment: Deployment, traffic: Traffic, prices: Prices) -> list[Line]:
    memory_gb = deployment.classifier_memory_mb / _MB_IN_GB
    month_gb_seconds = memory_gb * _MONTH_SECONDS
    rules, versions = deployment.web_acl_rules, deployment.snap_start_versions
    instances = deployment.provisioned_instances
    return [
        Line(
            Section.OPTIONAL,
            "WAF",
            f"1 web ACL, {rules} rules",
            month_usd=prices.web_acl.each + rules * prices.web_acl_rule.each,
            request_usd=prices.web_acl_request.each,
        ),
        Line(
            Section.OPTIONAL,
            "SnapStart",
            f"{versions} version, restored at {percent(traffic.cold_share)} of the requests",
            month_usd=versions * month_gb_seconds * prices.snap_start_cache.each,
            request_usd=traffic.cold_share * memory_gb * prices.snap_start_restore.each,
        ),
        Line(
            Section.OPTIONAL,
            "provisioned concurrency",
            f"{instances} instance of {deployment.classifier_memory_mb:,} MB",
            month_usd=instances * month_gb_seconds * prices.lambda_provisioned.each,
        ),
    ]
