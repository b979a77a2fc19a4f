"""One look at the report per window and scheme, shared by the tests."""

from collections.abc import Callable
from functools import cache

import pytest

from regroup.report import render
from tests.pages.browser import Browser, Seen
from tests.pages.sample import a_report

type Look = Callable[[int, bool], Seen]


@pytest.fixture(scope="session")
def browser() -> Browser:
    """The browser of this machine; without one the tests fail and say what to do."""
    return Browser.find()


@pytest.fixture(scope="session")
def look(browser: Browser) -> Look:
    """What the browser makes of the whole report, by width in pixels and whether it is dark."""
    page = render(a_report())
    return cache(lambda width, dark: browser.look(page, width=width, dark=dark))
