"""What GROWTH.md's numbers rest on: requests, times and quotas, and traces drawn from them."""

from dataclasses import dataclass, field
from math import exp, log

import numpy as np
from numpy.typing import NDArray

from regroup.domain.catalog import OUTPUT_TOKENS_PER_SECOND

type Floats = NDArray[np.float64]

ANSWER_MOST_SECONDS = 27.0
"""The gateway waits 29 seconds, and the classifier keeps two of them to write down and answer."""

_Z99 = 2.3263478740408408
"""Standard deviations between the median and the 99th percentile of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of the classifier, in seconds."""

    decision_p50: float
    decision_p99: float
    cold_start: float


@dataclass(frozen=True, slots=True)
class Bursts:
    """How arrivals change between calm and burst."""

    burst_factor: float = 3.0
    """How many times as many as in a calm."""
    calm_seconds: float = 20.0
    burst_seconds: float = 5.0
    """How long each lasts on average."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Arrivals: a Poisson process whose rate changes with the bursts."""

    rate_per_second: float
    """The mean over calms and bursts."""
    seconds: float
    bursts: Bursts = field(default_factory=Bursts)


@dataclass(frozen=True, slots=True)
class Requests:
    """What requests are like, and how long what was not measured takes."""

    answered: bool = True
    """False: only decided, as `/v1/route` does."""
    answer_median_seconds: float = 3.0
    answer_sigma: float = 0.6
    """Of the logarithm: the longest answer in a hundred takes four times the median."""
    input_tokens: float = 1_000.0
    output_tokens_per_second: float = OUTPUT_TOKENS_PER_SECOND
    max_tokens: float = OUTPUT_TOKENS_PER_SECOND * ANSWER_MOST_SECONDS
    """What the classifier allows where a request says nothing: as much as fits into the time."""
    busiest_key_share: float = 0.2
    continued_share: float = 0.5
    """Requests that continue a conversation, whose session is read."""
    new_query_share: float = 0.8
    """Requests whose prediction is in no cache."""
    table_call_seconds: float = 0.005
    refusal_seconds: float = 0.1
    """Until Bedrock has said that there are no tokens."""
    environment_seconds: float = 0.3
    """What Lambda adds to a cold start before our process begins."""

    @property
    def mean_answer_seconds(self) -> float:
        """The mean of the answers' lognormal."""
        return self.answered * self.answer_median_seconds * exp(self.answer_sigma**2 / 2)

    @property
    def table_seconds(self) -> float:
        """How long one request waits for tables, one call after the other."""
        calls = sum(table.reads + table.writes for table in self.tables)
        return self.table_call_seconds * calls

    @property
    def tables(self) -> tuple["Table", ...]:
        """What the classifier asks of DynamoDB for one request of a key with a budget."""
        answered = float(self.answered)
        return (
            Table("predictions", 1, self.new_query_share, units_a_read=0.5),
            Table("sessions", self.continued_share, answered),
            Table("decisions", 0, answered),
            Table("keys", 1, 2 * answered),
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Calls of one request to a table; its items are below 1 KB, so a write takes one unit."""

    name: str
    reads: float
    writes: float
    units_a_read: float = 1.0

    @property
    def read_units(self) -> float:
        """What the reads of a request take."""
        return self.reads * self.units_a_read


@dataclass(frozen=True, slots=True)
class Model:
    """One candidate: how often the router wants it, and its quota."""

    name: str
    share: float
    tokens_per_minute: float
    burndown: float
    """Quota tokens that one output token takes."""

    def tokens_taken(self, requests: Requests, answer_seconds: float) -> float:
        """Return what an answer has taken of the quota once it has ended."""
        output = min(requests.max_tokens, answer_seconds * requests.output_tokens_per_second)
        return requests.input_tokens + self.burndown * output


@dataclass(frozen=True, slots=True)
class Quotas:
    """What AWS allows; GROWTH.md has the source of each number."""

    models: tuple[Model, ...]
    """The first is the cheapest, which alone is asked where a budget is unknown."""
    gateway_per_second: float = 10_000.0
    gateway_bucket: float = 5_000.0
    instances: float = 1_000.0
    provisioned: float = 0.0
    new_instances_at_once: float = 1_000.0
    new_instances_per_second: float = 100.0
    kept_seconds: float = 300.0
    """How long an idle instance is kept; AWS gives no number."""
    table_writes: float = 4_000.0
    table_reads: float = 12_000.0
    item_writes: float = 1_000.0
    item_reads: float = 3_000.0


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order they arrive, with all that chance decides of them."""

    at: Floats
    """Seconds from the start."""
    decision_seconds: Floats
    answer_seconds: Floats
    wanted: NDArray[np.intp]
    """Which model the router chooses first."""
    busiest: NDArray[np.bool_]
    """Whether the request is one of the busiest key."""


def draw_trace(
    traffic: Traffic, requests: Requests, measured: Measured, models: tuple[Model, ...], seed: int
) -> Trace:
    """Draw arrivals, and what chance decides of each request."""
    rng = np.random.default_rng(seed)
    at = _draw_arrivals(traffic, rng)
    spread = log(measured.decision_p99 / measured.decision_p50) / _Z99
    answers = rng.lognormal(log(requests.answer_median_seconds), requests.answer_sigma, len(at))
    shares = np.array([model.share for model in models])
    return Trace(
        at=at,
        decision_seconds=rng.lognormal(log(measured.decision_p50), spread, len(at)),
        answer_seconds=np.minimum(answers, ANSWER_MOST_SECONDS) * requests.answered,
        wanted=rng.choice(len(models), len(at), p=shares / shares.sum()),
        busiest=rng.random(len(at)) < requests.busiest_key_share,
    )


def _draw_arrivals(traffic: Traffic, rng: np.random.Generator) -> Floats:
    """Draw a Markov-modulated Poisson process of two states, scaled to the mean rate."""
    bursts, edges, weights = traffic.bursts, [0.0], list[float]()
    states = (bursts.calm_seconds, 1.0), (bursts.burst_seconds, bursts.burst_factor)
    while edges[-1] < traffic.seconds:
        for mean_seconds, weight in states:
            edges.append(edges[-1] + rng.exponential(mean_seconds))
            weights.append(weight)
    inside = np.minimum(edges, traffic.seconds)
    widths = np.diff(inside)
    expected = widths * np.array(weights)
    counts = rng.poisson(expected * traffic.rate_per_second * traffic.seconds / expected.sum())
    at = np.repeat(inside[:-1], counts) + np.repeat(widths, counts) * rng.random(counts.sum())
    return np.sort(at)
