"""Read a catalog file: what people write is checked field by field, unknown fields refused."""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regroup.domain.catalog import (
    OUTPUT_TOKENS_PER_SECOND,
    Candidate,
    Capabilities,
    Catalog,
    Prices,
    PromptCache,
)
from regroup.errors import DataError

type Positive = Annotated[int, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PriceEntry(_Strict):
    """One price with where and when it was read."""

    usd_per_million: Annotated[float, Field(ge=0)]
    source: Annotated[str, Field(min_length=1)]
    as_of: date


class LongContextEntry(_Strict):
    """Prices of calls whose prompt is longer than a threshold."""

    above_tokens: Positive
    input: PriceEntry
    output: PriceEntry


class PricesEntry(_Strict):
    """All that a call to one candidate may be billed at."""

    input: PriceEntry
    output: PriceEntry
    cache_read: PriceEntry | None = None
    cache_write: PriceEntry | None = None
    batch_input: PriceEntry | None = None
    batch_output: PriceEntry | None = None
    long_context: LongContextEntry | None = None


class PromptCacheEntry(_Strict):
    """What it takes for a provider to cache a prefix."""

    min_tokens: Positive
    ttl_seconds: Positive


class CapabilitiesEntry(_Strict):
    """What a candidate can do; what is not said is not offered, but for text, system and sampling.

    The defaults are those of `regroup.domain.catalog.Capabilities`.
    """

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
    prompt_cache: PromptCacheEntry | None = None


class TokensPerCharEntry(_Strict):
    """Tokens per character by script, for estimates before a call."""

    latin: Annotated[float, Field(gt=0, le=4)] = 0.3
    cjk: Annotated[float, Field(gt=0, le=4)] = 1.1
    other: Annotated[float, Field(gt=0, le=4)] = 1.0


class CandidateEntry(_Strict):
    """One model that may answer."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]
    family: str
    model_id: Annotated[str, Field(min_length=1)]
    profile_arn: str | None = None
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    destination_regions: tuple[str, ...] = ()
    prices: PricesEntry
    context_tokens: Positive
    max_output_tokens: Positive
    tokens_per_char: TokensPerCharEntry = TokensPerCharEntry()
    capabilities: CapabilitiesEntry = CapabilitiesEntry()
    residency: Literal["jp", "apac", "us", "global"]
    output_tokens_per_second: Annotated[float, Field(gt=0)] = OUTPUT_TOKENS_PER_SECOND
    guardrail_id: str | None = None
    available_from: date | None = None
    end_of_life: date | None = None


class CatalogFile(_Strict):
    """The whole file."""

    candidates: Annotated[list[CandidateEntry], Field(min_length=1)]


def read_catalog(content: bytes, *, place: str) -> Catalog:
    """Parse a catalog.

    Args:
        content: the file's bytes.
        place: how to name the file in an error.

    Raises:
        DataError: naming the file, the field and what is wrong with it.
    """
    try:
        parsed = CatalogFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{place}: {where or 'the file'}: {first['msg']}") from error
    candidates = [_candidate(entry) for entry in parsed.candidates]
    by_name = {candidate.name: candidate for candidate in candidates}
    if len(by_name) != len(candidates):
        raise DataError(f"{place}: two candidates share a name")
    return Catalog(by_name)


def _candidate(entry: CandidateEntry) -> Candidate:
    abilities = entry.capabilities.model_dump(exclude={"prompt_cache"})
    cache = entry.capabilities.prompt_cache
    return Candidate(
        name=entry.name,
        family=entry.family,
        model_id=entry.model_id,
        profile_arn=entry.profile_arn,
        region=entry.region,
        destination_regions=entry.destination_regions,
        prices=_prices(entry.prices),
        context_tokens=entry.context_tokens,
        max_output_tokens=entry.max_output_tokens,
        tokens_per_char={
            "latin": entry.tokens_per_char.latin,
            "cjk": entry.tokens_per_char.cjk,
            "other": entry.tokens_per_char.other,
        },
        capabilities=Capabilities(
            **abilities,
            prompt_cache=PromptCache(cache.min_tokens, cache.ttl_seconds) if cache else None,
        ),
        residency=entry.residency,
        output_tokens_per_second=entry.output_tokens_per_second,
        guardrail_id=entry.guardrail_id,
        available_from=entry.available_from,
        end_of_life=entry.end_of_life,
    )


def _prices(entry: PricesEntry) -> Prices:
    def usd(price: PriceEntry | None) -> float | None:
        return None if price is None else price.usd_per_million

    long = entry.long_context
    return Prices(
        input=entry.input.usd_per_million,
        output=entry.output.usd_per_million,
        cache_read=usd(entry.cache_read),
        cache_write=usd(entry.cache_write),
        batch_input=usd(entry.batch_input),
        batch_output=usd(entry.batch_output),
        long_context_above_tokens=long.above_tokens if long else None,
        long_context_input=usd(long.input) if long else None,
        long_context_output=usd(long.output) if long else None,
    )
