"""Read the file of AWS's prices: each has a unit, a source and a date, and none is left out."""

from dataclasses import dataclass, fields
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regroup.errors import DataError
from training.cost import Price, Prices, Unit


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PriceEntry(_Strict):
    """One price: a source is an address, or says that the price was recalled."""

    usd: Annotated[float, Field(ge=0)]
    unit: Unit
    source: Annotated[str, Field(pattern=r"^https://\S+|^recalled, check")]
    as_of: date


class PricesFile(_Strict):
    """The whole file."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    read: Annotated[str, Field(min_length=1)]
    prices: dict[str, PriceEntry]


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one region, and how they were read."""

    region: str
    read: str
    prices: Prices


def read_prices(content: bytes, *, place: str) -> PriceList:
    """Parse a price file.

    Args:
        content: the file's bytes.
        place: how to name the file in an error.

    Raises:
        DataError: naming the file, the price and what is wrong with it.
    """
    try:
        parsed = PricesFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{place}: {where or 'the file'}: {first['msg']}") from error
    units = {one.name: one.metadata["unit"] for one in fields(Prices)}
    if missing := units.keys() - parsed.prices.keys():
        raise DataError(f"{place}: prices.{min(missing)}: this price is missing")
    if unknown := parsed.prices.keys() - units.keys():
        raise DataError(f"{place}: prices.{min(unknown)}: nothing is billed by this name")
    for name, entry in parsed.prices.items():
        if entry.unit != units[name]:
            raise DataError(f"{place}: prices.{name}.unit: it must be {units[name]!r}")
    prices = {
        name: Price(entry.usd, entry.unit, entry.source, entry.as_of)
        for name, entry in parsed.prices.items()
    }
    return PriceList(parsed.region, parsed.read, Prices(**prices))
