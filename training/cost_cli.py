"""`regroup cost`: the monthly bill, line by line, with everything that was assumed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from regroup.catalog_file import read_catalog
from regroup.domain.catalog import Catalog
from regroup.errors import ConfigurationError
from training.cost import (
    COUNTED,
    INFRASTRUCTURE,
    MIX,
    Deployment,
    Line,
    Mix,
    Section,
    Traffic,
    answer_seconds,
    bill,
    percent,
    total_usd,
)
from training.prices import PriceList, read_prices

ARTICLE_USD = (80, 200)
"""What the source article of the design says of its small profile, a month."""
REQUESTS = (3_000, 30_000, 300_000)

_SUMS = {
    Section.REQUESTS: ("INFRASTRUCTURE", INFRASTRUCTURE),
    Section.REWARD: ("TOTAL", COUNTED),
}
"""What is added up, below which section."""
_USUAL = Traffic()
_TERRAFORM = Path("terraform")
_CODE_LETTERS = 3
_COARSE_RATE = 50
_MOST = 10**9
_LONGEST_QUOTE = 60

console = Console()


@dataclass(frozen=True, slots=True)
class Money:
    """How amounts in USD without tax are shown."""

    currency: str = "USD"
    rate: float = 1.0
    """Units of the currency for one USD."""
    tax: float = 0.0
    """The part that is added, in [0, 1]."""

    def amount(self, usd: float) -> float:
        """Return an amount in the currency, with tax."""
        return usd * self.rate * (1 + self.tax)

    def show(self, usd: float) -> str:
        """Write an amount; one too small to be seen is not written as nothing."""
        # Hundredths of a yen say nothing, those of a euro do.
        digits = 0 if self.rate >= _COARSE_RATE else 2
        amount, least = self.amount(usd), 10**-digits
        return f"<{least:.{digits}f}" if 0 < amount < least else f"{amount:,.{digits}f}"

    def __str__(self) -> str:
        """Say what amounts are in."""
        rate = "" if self.currency == "USD" else f" at {self.rate:g} for 1 USD"
        tax = f"with {percent(self.tax)} tax" if self.tax else "without tax"
        return f"{self.currency}{rate}, {tax}"


def cost_command(
    currency: Annotated[
        str | None, typer.Option(help="Three letters, such as JPY. Default: USD.")
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Units of the currency for 1 USD; needed unless it is USD.")
    ] = None,
    tax: Annotated[
        str | None, typer.Option(help="The part to add, 0.10 for 10 %. Default: none.")
    ] = None,
    requests: Annotated[
        list[int] | None,
        typer.Option(help="Requests a month, once for each column. Default: 3000, 30000, 300000."),
    ] = None,
    candidates: Annotated[
        str | None,
        typer.Option(help="Who answers how much, as in haiku=0.7,sonnet=0.3."),
    ] = None,
    input_tokens: Annotated[int, typer.Option(min=0, help="Of one request.")] = _USUAL.input_tokens,
    output_tokens: Annotated[
        int, typer.Option(min=0, help="Of one answer.")
    ] = _USUAL.output_tokens,
    catalog: Annotated[Path, typer.Option(help="Catalog file: the models' prices.")] = _TERRAFORM
    / "catalog.json",
    prices: Annotated[Path, typer.Option(help="Price file: all other prices.")] = _TERRAFORM
    / "prices.json",
) -> None:
    """Print what a deployment costs a month: infrastructure, models, and what was assumed."""
    money = money_of(currency, rate, tax)
    months = _months(requests)
    models = read_catalog(_read(catalog, "--catalog"), place=str(catalog))
    known = read_prices(_read(prices, "--prices"), place=str(prices))
    mix = mix_of(candidates, models)
    deployment = Deployment()
    traffic = replace(_USUAL, input_tokens=input_tokens, output_tokens=output_tokens)
    lines = bill(deployment, traffic, known.prices, models, mix)
    _say(f"A month in {known.region}, in {money}.")
    _show(bill_table(lines, months, money))
    _say(article(money))
    _say("Assumed:")
    seconds = answer_seconds(traffic, models, mix)
    for sentence in (*assumptions(deployment, traffic, seconds), *sources(known)):
        _say(f"* {sentence}")


def money_of(currency: str | None, rate: str | None, tax: str | None) -> Money:
    """Check what amounts are to be shown in.

    Raises:
        ConfigurationError: naming the option, what is wrong with it and what to give.
    """
    name = (currency or "USD").strip().upper()
    if len(name) != _CODE_LETTERS or not (name.isascii() and name.isalpha()):
        raise _refusal("currency", currency, "give its three letters, such as JPY")
    if name == "USD":
        if rate is not None:
            raise _refusal("rate", rate, "prices are in USD; give a currency too, such as JPY")
        units = 1.0
    elif rate is None:
        raise ConfigurationError(
            f"--rate (RATE) is missing: give how many {name} are 1 USD today, such as"
            " CURRENCY=JPY RATE=150"
        )
    else:
        units = _number("rate", rate, _MOST, f"give how many {name} are 1 USD, such as 150")
        if units == 0:
            raise _refusal("rate", rate, f"give how many {name} are 1 USD, such as 150")
    part = 0.0 if tax is None else _number("tax", tax, 1, "give a part of 1, 0.10 for 10 %")
    return Money(name, units, part)


def mix_of(text: str | None, catalog: Catalog) -> Mix:
    """Check who answers how much; without a text, the mix of GROWTH.md.

    Raises:
        ConfigurationError: naming the part that is wrong and what to give.
    """
    example = f"give NAME=SHARE with names of the catalog ({', '.join(catalog.names)})"
    if text is None:
        if strange := [name for name in MIX if name not in catalog.candidates]:
            raise ConfigurationError(
                f"--candidates is missing: the catalog has no {strange[0]}; {example}, as in"
                f" {catalog.names[0]}=1"
            )
        return MIX
    mix: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.strip().partition("=")
        if name not in catalog.candidates or name in mix:
            raise _refusal("candidates", text, f"{name!r} is unknown or given twice; {example}")
        mix[name] = _number("candidates", share, 1, f"{example}, shares from 0 to 1")
    if not math.isclose(sum(mix.values()), 1, abs_tol=1e-6):
        raise _refusal("candidates", text, f"the shares add up to {sum(mix.values()):g}, not to 1")
    return mix


def bill_table(lines: Sequence[Line], months: Sequence[int], money: Money) -> Table:
    """Return the bill, a column for each number of requests a month."""
    table = Table(box=None, pad_edge=False)
    table.add_column("requests a month", no_wrap=True)
    table.add_column("counted as")
    for requests in months:
        table.add_column(f"{requests:,}", justify="right", no_wrap=True)
    for section in Section:
        head = [total_usd(lines, requests, {section}) for requests in months]
        shown = map(money.show, head) if section in COUNTED else ()
        table.add_row(section, "", *shown, style="bold")
        for line in lines:
            if line.section is section:
                amounts = (money.show(line.usd(requests)) for requests in months)
                table.add_row(f"  {line.name}", line.basis, *amounts)
        if summed := _SUMS.get(section):
            name, sections = summed
            sums = (money.show(total_usd(lines, requests, sections)) for requests in months)
            table.add_row(name, "", *sums, style="bold")
    return table


def article(money: Money) -> str:
    """Say what the source article of the design estimates, beside our figure."""
    low, high = ARTICLE_USD
    here = ""
    if money != Money():
        here = f" ({money.show(low)} to {money.show(high)} {money.currency} here)"
    return (
        f"For its small profile of 3,000 requests the source article says {low} to {high} USD"
        f" a month{here}; most of it is model prices of 2024."
    )


def assumptions(deployment: Deployment, traffic: Traffic, seconds: float) -> Iterator[str]:
    """Yield what was assumed and is in no row of the table."""
    yield (
        "AWS's free allowances are not taken off: CloudWatch gives some dashboards, metrics,"
        " alarms and logs, Lambda some requests and seconds, KMS some requests. An account that"
        " has them left pays less."
    )
    yield (
        f"One request: {traffic.input_tokens:,} tokens in and {traffic.output_tokens:,} out, no"
        f" prompt cache; the classifier waits {seconds:.1f} s for the answer, at the catalog's"
        " tokens per second, and is billed for it."
    )
    yield (
        f"{percent(traffic.cold_share)} of the invocations start an instance, whose"
        f" {traffic.init_seconds:g} s of init are billed. The authorizer is asked at every request."
    )
    yield (
        f"{percent(traffic.sample_rate)} of the answers are sampled, kept for"
        f" {deployment.sample_retention_days} days, and scored once by the cheapest model of the"
        " catalog. A reward model on a machine of your own takes the place of that line."
    )
    yield (
        f"Custom metrics are billed as if all {deployment.custom_metrics} were written every hour."
        " Each of the first two yearly rotations of a KMS key adds the price of one more key."
    )
    yield "Not in it: support plans, your own domain, mails of alarms beyond SNS's free ones, VPCs."
    yield (
        "What is optional is not in the total. SnapStart and provisioned concurrency exclude each"
        " other; what they save of init and duration is not taken off."
    )


def sources(known: PriceList) -> Iterator[str]:
    """Yield where the prices are from, and which are to be checked."""
    named = {one.name: getattr(known.prices, one.name) for one in fields(known.prices)}
    days = sorted({price.as_of for price in named.values() if not price.is_recalled})
    if days:
        yield (
            "The models' prices are the catalog's; all others are of"
            f" {days[0]} to {days[-1]}: {known.read}."
        )
    if recalled := [name for name, price in named.items() if price.is_recalled]:
        yield f"Recalled, check before you rely on them: {', '.join(recalled)}."


def _months(requests: list[int] | None) -> Sequence[int]:
    for one in requests or ():
        if not 1 <= one <= _MOST:
            raise _refusal("requests", str(one), f"it may be 1 to {_MOST:,}")
    return requests or REQUESTS


def _number(option: str, text: str, most: float, cure: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # Written so that NaN is refused as well.
    if not 0 <= value <= most:
        raise _refusal(option, text, cure)
    return value


def _refusal(option: str, text: str | None, cure: str) -> ConfigurationError:
    return ConfigurationError(f"--{option} is {(text or '')[:_LONGEST_QUOTE]!r}: {cure}")


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{option}: {path} cannot be read; give another file") from error


def _show(table: Table) -> None:
    """Print a table, which only a terminal may fold."""
    endless = console.options.update(max_width=_MOST)
    wide = console.measure(table, options=endless).maximum
    Console(width=console.width if console.is_terminal else wide).print(table)


def _say(sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
