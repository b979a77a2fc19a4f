"""The candidates a router may choose from, what they cost and what they can do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

type Script = Literal["latin", "cjk", "other"]
type Residency = Literal["jp", "apac", "us", "global"]

OUTPUT_TOKENS_PER_SECOND = 60.0
"""How fast an answer is taken to come where the catalog does not say: a cautious guess."""

_MILLION = 1_000_000
_LATIN_END = 0x250
_CJK = (
    (0x3000, 0x9FFF),  # punctuation, kana, ideographs
    (0xAC00, 0xD7AF),  # hangul
    (0xF900, 0xFAFF),  # compatibility ideographs
    (0xFF00, 0xFFEF),  # full-width and half-width forms
    (0x20000, 0x3134F),  # rarer ideographs
)


@dataclass(frozen=True, slots=True)
class Prices:
    """USD per million tokens. A tier or kind of token that is not offered is None."""

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None
    batch_input: float | None = None
    batch_output: float | None = None
    long_context_above_tokens: int | None = None
    long_context_input: float | None = None
    long_context_output: float | None = None


@dataclass(frozen=True, slots=True)
class PromptCache:
    """The shortest prefix a provider caches, and for how long."""

    min_tokens: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a candidate can be asked to do."""

    tools: bool = False
    forced_tool_choice: bool = False
    images: bool = False
    json_schema: bool = False
    sampling: bool = True
    prefill: bool = False
    system: bool = True
    stream: bool = True
    batch: bool = False
    reasoning: bool = False
    prompt_cache: PromptCache | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model that may answer."""

    name: str
    family: str
    model_id: str
    region: str
    prices: Prices
    context_tokens: int
    max_output_tokens: int
    tokens_per_char: Mapping[Script, float]
    capabilities: Capabilities
    residency: Residency
    destination_regions: tuple[str, ...] = ()
    profile_arn: str | None = None
    output_tokens_per_second: float = OUTPUT_TOKENS_PER_SECOND
    guardrail_id: str | None = None
    available_from: date | None = None
    end_of_life: date | None = None

    @property
    def invoke_id(self) -> str:
        """The id Bedrock is called with: the application inference profile where there is one."""
        return self.profile_arn or self.model_id

    def estimate_tokens(self, counts: Mapping[Script, int]) -> int:
        """Estimate the tokens of a text for this candidate from `count_scripts` of it."""
        return round(sum(n * self.tokens_per_char[script] for script, n in counts.items()))

    def cost_usd(
        self,
        input_tokens: float,
        output_tokens: float,
        *,
        cache_read_tokens: float = 0,
        cache_write_tokens: float = 0,
    ) -> float:
        """Price one call at list prices, long-context tier included.

        Cached tokens cost the plain input price where the catalog has none of their own.
        """
        prices = self.prices
        input_price, output_price = prices.input, prices.output
        prompt = input_tokens + cache_read_tokens + cache_write_tokens
        above = prices.long_context_above_tokens
        if above is not None and prompt > above:
            input_price = prices.long_context_input or input_price
            output_price = prices.long_context_output or output_price
        # What a provider asks for cached tokens is a multiple of its input price, in each tier.
        tier = input_price / prices.input if prices.input else 1.0
        read = input_price if prices.cache_read is None else prices.cache_read * tier
        write = input_price if prices.cache_write is None else prices.cache_write * tier
        total = (
            input_tokens * input_price
            + output_tokens * output_price
            + cache_read_tokens * read
            + cache_write_tokens * write
        )
        return total / _MILLION

    def dearest_usd(self, input_tokens: float, output_tokens: float) -> float:
        """Price a call at the most it can come to: nothing read from a cache, all written to it."""
        write = self.prices.cache_write
        if self.capabilities.prompt_cache is None or write is None or write <= self.prices.input:
            return self.cost_usd(input_tokens, output_tokens)
        written = self.cost_usd(0, output_tokens, cache_write_tokens=input_tokens)
        return max(written, self.cost_usd(input_tokens, output_tokens))


@dataclass(frozen=True, slots=True)
class Catalog:
    """The candidates by name, in the order of the file."""

    candidates: Mapping[str, Candidate]

    def __post_init__(self) -> None:
        """Refuse an empty catalog: nothing could ever answer."""
        if not self.candidates:
            raise ValueError("a catalog needs at least one candidate")

    @property
    def names(self) -> tuple[str, ...]:
        """The candidates' names, in the order of the file."""
        return tuple(self.candidates)

    def cheapest(self) -> str:
        """Name the candidate whose list prices are lowest, input and output weighed alike."""
        return min(
            self.candidates.values(), key=lambda c: (c.prices.input + c.prices.output, c.name)
        ).name


def count_scripts(text: str) -> dict[Script, int]:
    """Count the characters of `text` by script, because tokens per character differ by it."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    latin = int((points < _LATIN_END).sum())
    cjk = sum(int(((first <= points) & (points <= last)).sum()) for first, last in _CJK)
    return {"latin": latin, "cjk": cjk, "other": len(points) - latin - cjk}
