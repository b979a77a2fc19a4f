"""Catalogs where they lie: a path on this machine, `file:` or `s3://`."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from regroup.adapters.object_store import open_object
from regroup.catalog_file import CatalogFile, PricesEntry, read_catalog
from regroup.domain.catalog import Catalog
from regroup.errors import DataError


def content_at(place: str) -> bytes:
    """Return a catalog's bytes.

    Args:
        place: `s3://bucket/key`, `file:path` or a plain path.

    Raises:
        DataError: there is no such file, or it cannot be read.
        RegroupError: see `open_object` and `ObjectStore.read`.
    """
    if place.startswith(("s3:", "file:")):
        store, key = open_object(place)
        return store.read(key).content
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise DataError(
            f"{place} cannot be read: give a catalog's path, file:path or s3://bucket/key"
        ) from error


def catalog_at(place: str) -> Catalog:
    """Read the catalog at a place.

    Raises:
        RegroupError: see `content_at` and `read_catalog`.
    """
    return read_catalog(content_at(place), place=place)


def only(catalog: Catalog, names: Sequence[str]) -> Catalog:
    """Return a catalog of some of the candidates, in the catalog's own order.

    Raises:
        DataError: one of them is not in it.
    """
    unknown = [repr(name) for name in names if name not in catalog.candidates]
    if unknown:
        known = ", ".join(catalog.names)
        raise DataError(f"the catalog has no candidate {', '.join(unknown)}: it has {known}")
    return Catalog({name: one for name, one in catalog.candidates.items() if name in names})


def names_in(listed: str) -> list[str]:
    """Split names that were given with commas between them."""
    return [name.strip() for name in listed.split(",")]


def price_days(content: bytes) -> Mapping[str, date]:
    """Return for each candidate of a sound catalog the day its oldest price was read."""
    parsed = CatalogFile.model_validate_json(content)
    return {one.name: min(_days(one.prices)) for one in parsed.candidates}


def _days(prices: PricesEntry) -> list[date]:
    long = prices.long_context
    entries = [
        prices.input,
        prices.output,
        prices.cache_read,
        prices.cache_write,
        prices.batch_input,
        prices.batch_output,
        None if long is None else long.input,
        None if long is None else long.output,
    ]
    return [entry.as_of for entry in entries if entry is not None]
