"""Catalogs where they lie, and parts of them."""

import json
from datetime import date
from pathlib import Path

import pytest

from regroup.errors import ArtifactNotFoundError, ConfigurationError, DataError
from tests.unit.test_catalog import ENTRY, PRICE
from training.catalogs import catalog_at, content_at, names_in, only, price_days

CONTENT = json.dumps({"candidates": [ENTRY, ENTRY | {"name": "two"}]}).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.json"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("scheme", ["", "file:"])
def test_a_path_and_a_file_address_name_the_same_catalog(scheme: str, path: Path) -> None:
    assert content_at(f"{scheme}{path}") == CONTENT
    assert catalog_at(f"{scheme}{path}").names == ("one", "two")


@pytest.mark.parametrize(
    ("place", "error", "said"),
    [
        ("nowhere.json", DataError, "nowhere.json cannot be read: give a catalog's path"),
        (".", DataError, "cannot be read"),
        ("file:nowhere.json", ArtifactNotFoundError, "nothing lies at nowhere.json"),
        ("s3://bucket", ConfigurationError, "is not an object's address"),
    ],
)
def test_what_is_no_catalogs_place_is_told(place: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        content_at(place)


def test_a_broken_catalog_is_named_by_its_place(path: Path) -> None:
    path.write_text("{}")
    with pytest.raises(DataError, match=f"^file:{path}: candidates: Field required"):
        catalog_at(f"file:{path}")


def test_some_candidates_stay_in_the_catalogs_order(path: Path) -> None:
    catalog = catalog_at(str(path))
    assert only(catalog, ["two", "one"]).names == ("one", "two")
    assert only(catalog, names_in(" two ")).names == ("two",)
    with pytest.raises(DataError, match="no candidate 'three', '': it has one, two"):
        only(catalog, names_in("one,three,"))


def test_the_oldest_price_of_each_candidate_counts() -> None:
    old, older = PRICE | {"as_of": "2026-05-02"}, PRICE | {"as_of": "2026-05-01"}
    long = {"above_tokens": 1000, "input": older, "output": PRICE}
    prices = {"input": PRICE, "output": PRICE, "cache_read": old}
    entries = [
        ENTRY,
        ENTRY | {"name": "two", "prices": prices},
        ENTRY | {"name": "three", "prices": prices | {"long_context": long}},
    ]
    assert price_days(json.dumps({"candidates": entries}).encode()) == {
        "one": date(2026, 11, 24),
        "two": date(2026, 5, 2),
        "three": date(2026, 5, 1),
    }
