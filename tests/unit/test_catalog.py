"""The catalog: prices, scripts, and a file that people write."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Capabilities, Prices, PromptCache, count_scripts
from regroup.errors import DataError
from tests.unit.test_mask_and_fallback import CANDIDATE

PRICE = {"usd_per_million": 1.0, "source": "a price page", "as_of": "2026-11-24"}
ENTRY: dict[str, Any] = {
    "name": "one",
    "family": "test",
    "model_id": "test.one",
    "region": "ap-northeast-1",
    "prices": {"input": PRICE, "output": PRICE},
    "context_tokens": 1000,
    "max_output_tokens": 100,
    "residency": "jp",
}


def read(*entries: dict[str, Any]) -> None:
    read_catalog(json.dumps({"candidates": list(entries)}).encode(), place="catalog.json")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"colour": "red"}, r"candidates\.0\.colour: Extra inputs"),
        ({"residency": "mars"}, r"candidates\.0\.residency"),
        ({"region": "Tokyo"}, r"candidates\.0\.region"),
        ({"context_tokens": 0}, r"candidates\.0\.context_tokens"),
        ({"prices": {"input": PRICE}}, r"candidates\.0\.prices\.output: Field required"),
        (
            {"prices": {"input": PRICE | {"usd_per_million": -1}, "output": PRICE}},
            r"prices\.input\.usd_per_million",
        ),
        (
            {"prices": {"input": {"usd_per_million": 1}, "output": PRICE}},
            r"prices\.input\.source: Field required",
        ),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(DataError, match=f"^catalog.json: .*{named}"):
        read(ENTRY | changes)


def test_a_name_may_stand_once() -> None:
    with pytest.raises(DataError, match="two candidates share a name"):
        read(ENTRY, ENTRY)


def test_the_shipped_catalog_can_be_read() -> None:
    path = Path(__file__).parents[2] / "terraform/catalog.json"
    catalog = read_catalog(path.read_bytes(), place=str(path))
    assert {candidate.family for candidate in catalog.candidates.values()} >= {
        "anthropic",
        "meta",
        "amazon",
    }


def test_the_source_articles_models_are_kept_with_the_day_they_end() -> None:
    path = Path(__file__).parents[2] / "terraform/catalog-source-article.json"
    catalog = read_catalog(path.read_bytes(), place=str(path))
    assert catalog.names == ("claude-3-5-sonnet", "claude-3-5-haiku", "llama3-70b")
    assert all(candidate.end_of_life for candidate in catalog.candidates.values())


def test_a_long_prompt_is_priced_by_its_own_tier() -> None:
    prices = Prices(
        0.1, 0.5, long_context_above_tokens=100, long_context_input=0.5, long_context_output=2.5
    )
    candidate = CANDIDATE.__class__(
        **{name: getattr(CANDIDATE, name) for name in CANDIDATE.__slots__} | {"prices": prices}
    )
    assert candidate.cost_usd(100, 10) == pytest.approx((100 * 0.1 + 10 * 0.5) / 1e6)
    assert candidate.cost_usd(101, 10) == pytest.approx((101 * 0.5 + 10 * 2.5) / 1e6)


def test_cached_tokens_cost_the_input_price_where_none_of_their_own_is_known() -> None:
    assert CANDIDATE.cost_usd(0, 0, cache_read_tokens=1e6) == pytest.approx(1.0)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_character_is_counted_once(text: str) -> None:
    assert sum(count_scripts(text).values()) == len(text)


def test_scripts_are_told_apart() -> None:
    assert count_scripts("Tokyo 東京タワー한국Ⅴ") == {"latin": 6, "cjk": 7, "other": 1}


def test_cached_tokens_of_a_long_prompt_cost_as_much_more_as_its_input() -> None:
    prices = Prices(1.0, 5.0, cache_read=0.1, cache_write=1.25, long_context_above_tokens=100)
    dear = replace(CANDIDATE, prices=replace(prices, long_context_input=5.0))
    cached = {"cache_read_tokens": 100, "cache_write_tokens": 10}
    assert dear.cost_usd(0, 0, **cached) == pytest.approx((100 * 0.5 + 10 * 6.25) / 1e6)
    able = replace(dear, capabilities=Capabilities(prompt_cache=PromptCache(1, 300)))
    assert able.dearest_usd(200, 0) == pytest.approx(200 * 6.25 / 1e6)
    assert dear.dearest_usd(200, 0) == pytest.approx(200 * 5.0 / 1e6)
