"""The cost page: nothing billed is left out, amounts add up, wrong input is told in words."""

import json
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from regroup.adapters.telemetry import PowertoolsTelemetry
from regroup.catalog_file import read_catalog
from regroup.errors import ConfigurationError, DataError
from tests.bench.growth_load import Requests
from tests.unit.test_events import a_decision_line
from training.cost import (
    COUNTED,
    INFRASTRUCTURE,
    MIX,
    Deployment,
    Line,
    Price,
    Prices,
    Section,
    Traffic,
    answer_seconds,
    bill,
    total_usd,
)
from training.cost_cli import Money, article, cost_command, mix_of, money_of, sources
from training.prices import read_prices

TERRAFORM = Path(__file__).parents[2] / "terraform"
CATALOG = read_catalog((TERRAFORM / "catalog.json").read_bytes(), place="catalog.json")
KNOWN = read_prices((TERRAFORM / "prices.json").read_bytes(), place="prices.json")
PRICES = KNOWN.prices
SMALL = bill(Deployment(), Traffic(), PRICES, CATALOG, MIX)

months = st.integers(1, 10**8)


def standing_usd(deployment: Deployment) -> float:
    lines = bill(deployment, Traffic(), PRICES, CATALOG, MIX)
    return total_usd(lines, 0, {Section.STANDING})


def find(name: str, section: Section = Section.REQUESTS, **traffic: Any) -> Line:
    lines = bill(Deployment(), Traffic(**traffic), PRICES, CATALOG, MIX)
    (line,) = (one for one in lines if (one.name, one.section) == (name, section))
    return line


def run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(cost_command)
    files = ("--catalog", TERRAFORM / "catalog.json", "--prices", TERRAFORM / "prices.json")
    given_files = () if "--catalog" in arguments or "--prices" in arguments else map(str, files)
    result = CliRunner().invoke(app, [*arguments, *given_files], env={"TTY_COMPATIBLE": "0"})
    if result.exception is not None:
        raise result.exception
    return result.stdout


def row(printed: str, name: str) -> list[str]:
    """The last three cells of the first row of a name."""
    (line, *_) = (line for line in printed.splitlines() if line.strip().startswith(name))
    return line.split()[-3:]


# What is counted


@pytest.mark.parametrize(
    ("count", "price"),
    [
        ("kms_keys", "kms_key"),
        ("alarms", "alarm"),
        ("custom_metrics", "custom_metric"),
        ("dashboards", "dashboard"),
        ("budgets", "budget"),
        ("anomaly_monitors", "anomaly_monitor"),
        ("stored_gb", "object_storage"),
    ],
)
def test_one_more_of_what_costs_by_existing_costs_its_price(count: str, price: str) -> None:
    more = replace(Deployment(), **{count: getattr(Deployment(), count) + 1})
    each = getattr(PRICES, price).each
    assert standing_usd(more) - standing_usd(Deployment()) == pytest.approx(each)


def test_a_queue_is_polled_and_a_key_is_asked_without_any_request() -> None:
    idle = replace(Deployment(), queue_pollers=0, kms_users=0)
    assert standing_usd(Deployment()) - standing_usd(idle) == pytest.approx(
        5 * 730 * 180 * 0.4e-6 + 10 * 730 * 12 * 3e-6
    )


@pytest.mark.parametrize("name", [one.name for one in fields(Prices)])
def test_a_price_that_rises_makes_a_line_dearer(name: str) -> None:
    def total(prices: Prices) -> float:
        # Anomaly detection is off by default.
        lines = bill(Deployment(anomaly_monitors=1), Traffic(), prices, CATALOG, MIX)
        return sum(line.usd(3_000) for line in lines)

    price: Price = getattr(PRICES, name)
    dearer = replace(PRICES, **{name: replace(price, usd=price.usd + 1)})
    assert total(dearer) > total(PRICES)


@pytest.mark.parametrize(
    ("name", "each"),
    [
        ("REST API", 4.25e-6),
        ("Lambda, invocations", 2.1 * 0.2e-6),
        ("Lambda, classifier", (500 / 60 + 0.1 + 0.09) * 1769 / 1024 * 16.6667e-6),
        ("Lambda, authorizer", 0.14 * 0.5 * 16.6667e-6),
        ("Lambda, collector", 0.1 * 0.29 * 0.5 * 16.6667e-6),
        ("DynamoDB, writes", 4.8 * 0.715e-6),
        ("DynamoDB, reads", 3 * 0.1425e-6),
        ("logs, written", 4e-6 * 0.76),
        ("logs, kept", 365 / 30 * 4e-6 * 0.033),
        ("logs, read", 80e-6 * 0.0076),
        ("data transfer", 4e-6 * 0.114),
    ],
)
def test_each_request_adds_so_much(name: str, each: float) -> None:
    assert find(name).request_usd == pytest.approx(each)


def test_an_instance_is_billed_while_it_waits_and_while_it_starts() -> None:
    usual = find("Lambda, classifier").request_usd
    assert find("Lambda, classifier", output_tokens=1_000).request_usd > 1.9 * usual
    assert find("Lambda, classifier", cold_share=1.0).request_usd > usual
    slow = {
        name: replace(one, output_tokens_per_second=30.0)
        for name, one in CATALOG.candidates.items()
    }
    assert answer_seconds(Traffic(), replace(CATALOG, candidates=slow), MIX) == pytest.approx(
        500 / 30
    )


def test_the_tables_are_asked_as_often_as_the_growth_page_says_and_once_by_the_authorizer() -> None:
    tables = Requests().tables
    assert Traffic().table_writes == pytest.approx(sum(table.writes for table in tables))
    assert Traffic().table_reads == pytest.approx(sum(table.read_units for table in tables) + 1)


def test_the_log_is_assumed_to_be_at_least_twice_what_the_classifier_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    telemetry = PowertoolsTelemetry(component="classifier")
    with telemetry.invocation("a-request"):
        telemetry.event(a_decision_line())
        telemetry.count("Decisions")
    written = capsys.readouterr().out
    assert "_aws" in written
    assert 1_000 < len(written.encode()) < 1_000 * Traffic().log_kilobytes / 2


def test_the_models_cost_what_was_computed_by_hand_for_3_000_requests() -> None:
    alone = {line.name: line.usd(3_000) for line in SMALL if line.section is Section.INSTEAD}
    assert alone["sonnet"] == pytest.approx(23.1)
    assert alone["haiku"] == pytest.approx(1.155)
    mixed = {line.name: line.usd(3_000) for line in SMALL if line.section is Section.MODELS}
    assert mixed == pytest.approx({name: MIX[name] * alone[name] for name in MIX})


def test_a_judge_reads_prompt_and_answer_of_the_sampled_share() -> None:
    judge = find("haiku as judge", Section.REWARD)
    assert judge.request_usd == pytest.approx(0.1 * (1_800 * 0.11 + 80 * 0.55) / 1e6)
    assert find("haiku as judge", Section.REWARD, sample_rate=0.0).request_usd == 0


def test_the_infrastructure_of_3_000_requests_stays_below_10_usd() -> None:
    assert total_usd(SMALL, 3_000, INFRASTRUCTURE) < 10


# What adds up


@given(requests=months)
def test_lines_add_up_to_sections_and_sections_to_the_total(requests: int) -> None:
    sections = [total_usd(SMALL, requests, {section}) for section in COUNTED]
    assert total_usd(SMALL, requests) == pytest.approx(sum(sections))
    counted = [line.usd(requests) for line in SMALL if line.section in COUNTED]
    assert total_usd(SMALL, requests) == pytest.approx(sum(counted))


@given(requests=months)
def test_twice_the_requests_double_what_is_used_and_leave_what_stands(requests: int) -> None:
    for line in SMALL:
        once, twice = line.usd(requests), line.usd(2 * requests)
        if line.section is Section.STANDING:
            assert twice == once
        elif line.section is not Section.OPTIONAL:
            assert twice == pytest.approx(2 * once)


def test_what_is_optional_or_instead_is_shown_and_not_in_the_total() -> None:
    apart = [one for one in SMALL if one.section in {Section.OPTIONAL, Section.INSTEAD}]
    assert len(apart) == 6
    assert total_usd(apart, 3_000) == 0
    optional = {line.name: line.usd(0) for line in SMALL if line.section is Section.OPTIONAL}
    assert optional == pytest.approx(
        {"WAF": 8.0, "SnapStart": 6.83, "provisioned concurrency": 24.44}, abs=0.01
    )


# What it is shown in


@given(usd=st.floats(0, 1e6), rate=st.floats(0.01, 1e5), tax=st.floats(0, 1))
def test_an_amount_is_converted_and_then_taxed(usd: float, rate: float, tax: float) -> None:
    assert Money("JPY", rate, tax).amount(usd) == pytest.approx(usd * rate + usd * rate * tax)


@pytest.mark.parametrize(
    ("money", "usd", "shown"),
    [
        (Money(), 1234.567, "1,234.57"),
        (Money(), 0.0, "0.00"),
        (Money(), 0.001, "<0.01"),
        (Money("EUR", 0.9, 0.2), 10.0, "10.80"),
        (Money("JPY", 150, 0.1), 10.0, "1,650"),
        (Money("JPY", 150), 0.001, "<1"),
    ],
)
def test_an_amount_is_never_shown_as_nothing(money: Money, usd: float, shown: str) -> None:
    assert money.show(usd) == shown


def test_currency_rate_and_tax_are_taken_as_make_gives_them() -> None:
    assert money_of(None, None, None) == Money()
    assert money_of("usd", None, "0.1") == Money("USD", 1.0, 0.1)
    assert money_of(" jpy ", "150", "0.10") == Money("JPY", 150.0, 0.1)


@pytest.mark.parametrize(
    ("currency", "rate", "tax", "message"),
    [
        ("YEN!", "150", None, "--currency is 'YEN!': give its three letters, such as JPY"),
        ("円円円", "150", None, "--currency is '円円円': give its three letters"),
        ("", "2", None, "--rate is '2': prices are in USD; give a currency too"),
        ("JPY", None, None, r"--rate \(RATE\) is missing: give how many JPY are 1 USD .*RATE=150"),
        ("JPY", "0", None, "--rate is '0': give how many JPY are 1 USD, such as 150"),
        ("JPY", "-1", None, "--rate is '-1': give how many JPY"),
        ("JPY", "nan", None, "--rate is 'nan': give how many JPY"),
        ("JPY", "inf", None, "--rate is 'inf': give how many JPY"),
        ("JPY", "1,5", None, "--rate is '1,5': give how many JPY"),
        (None, None, "10", "--tax is '10': give a part of 1, 0.10 for 10 %"),
        (None, None, "10%", "--tax is '10%': give a part of 1"),
        (None, None, "-0.1", "--tax is '-0.1': give a part of 1"),
    ],
)
def test_wrong_money_is_told_with_what_to_give(
    currency: str | None, rate: str | None, tax: str | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        money_of(currency, rate, tax)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("opus=1", "'opus' is unknown or given twice; give NAME=SHARE with names of the catalog"),
        ("haiku=0.5,haiku=0.5", "'haiku' is unknown or given twice"),
        ("haiku", "shares from 0 to 1"),
        ("haiku=2", "shares from 0 to 1"),
        ("haiku=0.5,sonnet=0.4", "the shares add up to 0.9, not to 1"),
        ("", "'' is unknown"),
    ],
)
def test_a_wrong_mix_is_told_with_what_to_give(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^--candidates is .*{message}"):
        mix_of(text, CATALOG)


def test_a_mix_is_needed_for_a_catalog_without_the_usual_names() -> None:
    only = replace(CATALOG, candidates={"llama-70b": CATALOG.candidates["llama-70b"]})
    with pytest.raises(ConfigurationError, match=r"no haiku; .* as in llama-70b=1$"):
        mix_of(None, only)
    assert mix_of("llama-70b=1", only) == {"llama-70b": 1.0}
    assert mix_of(None, CATALOG) is MIX
    assert sum(MIX.values()) == pytest.approx(1)


# The price file


@pytest.mark.parametrize("name", [one.name for one in fields(Prices)])
def test_every_price_has_a_source_and_a_date(name: str) -> None:
    price: Price = getattr(PRICES, name)
    assert price.source.startswith("https://") or price.is_recalled
    assert date(2026, 1, 1) <= price.as_of <= date.today()


GOOD = json.loads((TERRAFORM / "prices.json").read_bytes())


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("alarm", {"usd": -1}, r"prices\.alarm\.usd: Input should be greater"),
        ("alarm", {"unit": "year"}, r"prices\.alarm\.unit: Input should be 'month'"),
        ("alarm", {"unit": "million"}, r"prices\.alarm\.unit: it must be 'month'"),
        ("alarm", {"source": "somebody said so"}, r"prices\.alarm\.source: String should match"),
        ("alarm", {"as_of": "lately"}, r"prices\.alarm\.as_of: "),
        ("alarm", {"colour": "red"}, r"prices\.alarm\.colour: Extra inputs"),
        ("alarms", GOOD["prices"]["alarm"], r"prices\.alarms: nothing is billed by this name"),
    ],
)
def test_a_wrong_price_is_named(name: str, changes: dict[str, Any], message: str) -> None:
    entry = GOOD["prices"].get(name, {}) | changes
    content = json.dumps(GOOD | {"prices": GOOD["prices"] | {name: entry}}).encode()
    with pytest.raises(DataError, match=f"^prices.json: {message}"):
        read_prices(content, place="prices.json")


@pytest.mark.parametrize("name", [one.name for one in fields(Prices)])
def test_no_price_may_be_left_out(name: str) -> None:
    left = {other: entry for other, entry in GOOD["prices"].items() if other != name}
    content = json.dumps(GOOD | {"prices": left}).encode()
    with pytest.raises(DataError, match=rf"prices\.{name}: this price is missing"):
        read_prices(content, place="prices.json")


@pytest.mark.parametrize("name", ["source", "as_of", "usd", "unit"])
def test_no_field_of_a_price_may_be_left_out(name: str) -> None:
    entry = {key: value for key, value in GOOD["prices"]["alarm"].items() if key != name}
    content = json.dumps(GOOD | {"prices": GOOD["prices"] | {"alarm": entry}}).encode()
    with pytest.raises(DataError, match=rf"prices\.alarm\.{name}: Field required"):
        read_prices(content, place="prices.json")


def test_recalled_prices_are_named_and_the_others_say_of_when_they_are() -> None:
    recalled = replace(PRICES.alarm, source="recalled, check")
    dated, named = sources(replace(KNOWN, prices=replace(PRICES, alarm=recalled)))
    assert "2026-03-26 to 2026-09-26" in dated
    assert "alarm" in named
    assert "dashboard" not in named
    for price in (PRICES.alarm, recalled):
        all_alike = Prices(**{one.name: price for one in fields(Prices)})
        assert len(list(sources(replace(KNOWN, prices=all_alike)))) == 1


# The command


def test_the_page_shows_the_bill_at_three_volumes_and_what_was_assumed() -> None:
    printed = run()
    assert row(printed, "requests a month") == ["3,000", "30,000", "300,000"]
    totals = [f"{total_usd(SMALL, requests):,.2f}" for requests in (3_000, 30_000, 300_000)]
    assert row(printed, "TOTAL") == totals
    assert row(printed, "KMS key") == ["1.00"] * 3
    for line in SMALL:
        assert f"  {line.name} " in printed
        assert line.basis in printed
    assert "the source article says 80 to 200 USD" in printed
    assert "most of it is model prices of 2024" in printed
    assert "free allowances are not taken off" in printed
    assert "check before you rely on them" in printed


def test_the_page_is_printed_in_a_currency_with_tax() -> None:
    printed = run("--currency", "JPY", "--rate", "150", "--tax", "0.10", "--requests", "3000")
    assert "in JPY at 150 for 1 USD, with 10 % tax" in printed
    assert row(printed, "KMS key")[-1] == "165"
    assert row(printed, "TOTAL")[-1] == f"{total_usd(SMALL, 3_000) * 165:,.0f}"
    assert "(13,200 to 33,000 JPY here)" in printed
    assert "here" not in article(Money())


def test_tokens_and_shares_of_your_own_change_the_models() -> None:
    printed = run("--candidates", "sonnet=1", "--input-tokens", "4000", "--output-tokens", "600")
    assert row(printed, "models")[0] == "46.20"
    assert "haiku as judge" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--requests", "0"), "--requests is '0': it may be 1 to 1,000,000,000"),
        (("--catalog", "nowhere.json"), "--catalog: nowhere.json cannot be read; give another"),
        (("--prices", str(TERRAFORM)), "--prices: .* cannot be read; give another file"),
    ],
)
def test_other_wrong_input_is_told_with_what_to_give(
    arguments: tuple[str, ...], message: str
) -> None:
    if "--prices" in arguments:
        arguments = (*arguments, "--catalog", str(TERRAFORM / "catalog.json"))
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        run(*arguments)


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_the_readme_shows_what_the_command_prints(readme: str) -> None:
    text = (TERRAFORM.parent / readme).read_text()
    parts: list[set[Section]] = [
        {Section.STANDING},
        {Section.REQUESTS},
        {Section.MODELS},
        {Section.REWARD},
    ]
    for sections in parts:
        amounts = [f"{total_usd(SMALL, n, sections):.2f}" for n in (3_000, 30_000, 300_000)]
        assert f"| {' | '.join(amounts)} |" in text, sections
    totals = [f"**{total_usd(SMALL, n):.2f}**" for n in (3_000, 30_000, 300_000)]
    assert f"| {' | '.join(totals)} |" in text
