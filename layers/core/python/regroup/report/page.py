"""The page around the plots."""

import re
from collections.abc import Sequence

from regroup.report.figures import Figure, Key, figures
from regroup.report.model import Report, Table
from regroup.report.style import STYLE
from regroup.report.text import html

_NUMBER = re.compile(r"[-+−±<>≤≥~]?\s?[$¥€]?\s?[-+−]?\d")

# The page is told to ask for nothing, not even the icon that browsers ask for by themselves.
_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
"""


def render(report: Report) -> str:
    """Return the report as one HTML page; the same report gives the same page.

    Raises:
        ImportError: pygal is not installed.
    """
    first, others = report.tables[:1], report.tables[1:]
    plots = "\n".join(_figure(one) for one in figures(report))
    parts = [
        _header(report),
        *(_section(table) for table in first),
        f'<div class="plots">\n{plots}\n</div>' if plots else "",
        *(_section(table) for table in others),
        _facts(report.facts),
    ]
    body = "\n".join(part for part in parts if part)
    head = f"{_HEAD}<title>{html(report.title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
    return f"{head}<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"


def _header(report: Report) -> str:
    kind, sign = ("yes", "✓") if report.route else ("no", "✕")
    return (
        f'<header>\n<h1>{html(report.title)}</h1>\n<p class="made">{html(report.made_at)}</p>\n'
        f'<p class="verdict {kind}"><span class="sign" aria-hidden="true">{sign}</span>'
        f"<span>{html(report.verdict)}</span></p>\n</header>"
    )


def _section(table: Table) -> str:
    note = f'<p class="note">{html(table.note)}</p>' if table.note else ""
    return f"<section>\n<h2>{html(table.title)}</h2>\n{_table(table)}\n{note}\n</section>"


def _table(table: Table) -> str:
    rows = [list(row) for row in table.rows]
    right = [
        at > 0 and _is_numeric([row[at] for row in rows if at < len(row)])
        for at in range(max([len(table.columns), *map(len, rows)]))
    ]
    head = "".join(_cell("th", right[at], name, "col") for at, name in enumerate(table.columns))
    body = "\n".join(
        "<tr>"
        + "".join(
            _cell("td" if at else "th", right[at], value, "" if at else "row")
            for at, value in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    # A part of the page that scrolls must be reachable by keyboard.
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html(table.title)}">\n'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _cell(tag: str, right: bool, text: str, scope: str) -> str:
    attributes = f' scope="{scope}"' if scope else ""
    return f"<{tag}{attributes}{' class="n"' if right else ''}>{html(text)}</{tag}>"


def _is_numeric(values: Sequence[str]) -> bool:
    known = [value for value in values if value.strip(" -–—")]
    return bool(known) and all(_NUMBER.match(value.strip()) for value in known)


def _figure(figure: Figure) -> str:
    legend = "".join(f"<li>{_key(key)}<span>{html(key[2])}</span></li>" for key in figure.legend)
    listed = f'<ul class="legend">{legend}</ul>\n' if legend else ""
    numbers = ""
    if figure.numbers is not None:
        numbers = f"<details>\n<summary>Numbers</summary>\n{_table(figure.numbers)}\n</details>\n"
    return (
        f"<figure>\n<h2>{html(figure.title)}</h2>\n{figure.svg}\n{listed}"
        f"<figcaption>{html(figure.caption)}</figcaption>\n{numbers}</figure>"
    )


def _key(key: Key) -> str:
    mark, style, _ = key
    shape = {
        "line": '<path d="M1 7H25"/>',
        "bar": '<rect x="5" y="2" width="16" height="10"/>',
        "diamond": '<path d="M13 1L19 7L13 13L7 7Z"/>',
    }.get(mark, '<circle cx="13" cy="7" r="4.5"/>')
    return (
        f'<svg class="key" viewBox="0 0 26 14" aria-hidden="true">'
        f'<g class="{mark} {style}">{shape}</g></svg>'
    )


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    listed = "\n".join(f"<div><dt>{html(a)}</dt><dd>{html(b)}</dd></div>" for a, b in facts)
    return f"<section>\n<h2>How this was measured</h2>\n<dl>\n{listed}\n</dl>\n</section>"
