"""A headless Chromium that opens a page without a network and tells what came of it.

browser = Browser.find()
seen = browser.look(page, width=390, dark=True)
assert seen.scroll_width <= 390
"""

import html
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = f"no browser: none of {', '.join(NAMES)} is on the PATH; `make setup-browser` installs it"

_SCRIPT = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")
# The page forbids scripts; the copy that is opened allows the one that looks around.
_FORBIDDEN, _ALLOWED = "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';"
# A window cannot be as narrow as a phone's, but a frame in it can.
_AROUND = """<!DOCTYPE html>
<meta charset="utf-8"><meta name="color-scheme" content="light dark">
<body><iframe style="border: 0; width: {width}px; height: {height}px" srcdoc="{page}"></iframe>
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a browser made of a page; lengths in CSS pixels."""

    title: str
    width: int
    scroll_width: int
    is_dark: bool
    too_wide: list[str]
    """elements that stick out of the frame, outside of what scrolls by itself"""
    plots: list[dict[str, Any]]
    """by plot: title, width, height, and the least height of its letters"""
    overlaps: list[str]
    """texts of a plot that cover one another or are cut off"""
    texts: int
    faint: list[str]
    """texts whose contrast to what is behind them is under 4.5"""
    requests: list[str]
    refused: list[str]
    """requests and scripts that the page's own policy stopped"""
    missing: list[str]
    """characters that no font of this machine has"""


@dataclass(frozen=True, slots=True)
class Browser:
    """Starts anew for every look."""

    program: str

    @classmethod
    def find(cls) -> "Browser":
        """Return the browser of this machine.

        Raises:
            FileNotFoundError: there is none; says what to do.
        """
        for name in NAMES:
            if (program := shutil.which(name)) is not None:
                return cls(program)
        raise FileNotFoundError(MISSING)

    def look(self, page: str, *, width: int, dark: bool, height: int = 844) -> Seen:
        """Open a page in a frame of this size, in the light or dark scheme, and measure it."""
        assert page.count(_FORBIDDEN) == 1
        assert page.count("<head>") == 1
        copy = page.replace(_FORBIDDEN, _ALLOWED)
        copy = copy.replace("<head>", f"<head><script>{_SCRIPT}</script>")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "page.html"
            around = _AROUND.format(width=width, height=height, page=html.escape(copy))
            file.write_text(around, encoding="utf-8")
            run = subprocess.run(
                [
                    self.program,
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--host-resolver-rules=MAP * ~NOTFOUND",
                    f"--user-data-dir={folder}/profile",
                    f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                    "--window-size=1400,1000",
                    "--dump-dom",
                    file.as_uri(),
                ],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        found = re.search(r'<pre id="seen">(.*?)</pre>', run.stdout, flags=re.DOTALL)
        assert found is not None, f"the browser showed nothing: {run.stderr[-2000:]}"
        return Seen(**json.loads(html.unescape(found[1])))
