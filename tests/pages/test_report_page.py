"""The report in a browser without a network: on a phone and on a desk, by day and by night."""

from dataclasses import replace

import pytest

from regroup.report import render
from tests.pages.browser import MISSING, Browser
from tests.pages.conftest import Look
from tests.pages.sample import a_report

WINDOWS = [(390, False), (390, True), (1280, False), (1280, True)]
windows = pytest.mark.parametrize(("width", "dark"), WINDOWS)


@windows
def test_nothing_sticks_out_of_the_window(look: Look, width: int, dark: bool) -> None:
    seen = look(width, dark)
    assert (seen.width, seen.is_dark) == (width, dark)
    assert seen.scroll_width <= width
    assert seen.too_wide == []


@windows
def test_every_text_stands_out_from_what_is_behind_it(look: Look, width: int, dark: bool) -> None:
    seen = look(width, dark)
    assert seen.texts > 200
    assert seen.faint == []


@windows
def test_plots_are_large_enough_and_no_text_in_them_covers_another(
    look: Look, width: int, dark: bool
) -> None:
    seen = look(width, dark)
    assert len(seen.plots) == 7
    for plot in seen.plots:
        assert plot["width"] > 300, plot
        assert plot["height"] > 200, plot
        assert plot["letters"] > 9, plot
    assert seen.overlaps == []


@windows
def test_nothing_is_asked_for_and_no_name_is_run(look: Look, width: int, dark: bool) -> None:
    seen = look(width, dark)
    assert seen.requests == []
    assert seen.refused == []
    assert seen.title == a_report().title


def test_every_letter_is_shown_japanese_ones_too(look: Look) -> None:
    assert look(390, False).missing == [], "no font has them; `make setup-browser` installs one"


def test_the_look_itself_finds_what_is_wrong(browser: Browser) -> None:
    broken = render(replace(a_report(), clusters=None, regret=None, curves=()))
    broken = broken.replace("--soft: #57606a", "--soft: #b7b7b7")
    broken = broken.replace("<header>", '<header><p style="width: 500px">w</p><img src="x.png">')
    broken = broken.replace(">haiku</text>", ">a name that is much longer than its room</text>")
    seen = browser.look(broken, width=390, dark=False)
    assert seen.scroll_width > 390
    assert "p w" in seen.too_wide
    assert any("policy" in one for one in seen.faint)
    assert any("much longer" in one for one in seen.overlaps)
    assert seen.requests + seen.refused != []


def test_without_a_browser_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="make setup-browser"):
        Browser.find()
    assert "chromium" in MISSING
