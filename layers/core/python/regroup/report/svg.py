"""What is kept of a chart that pygal drew, and how it is written into a page.

Scripts, styles, a date and random identifiers stay behind, so a plot is small, is the same every
time, and takes its looks from the page's stylesheet.
"""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from regroup.report.text import clean

WIDTH = 420
"""Drawing units. Plots are shown about as wide as this, so text keeps its size."""
FONT = 13
"""Text size in drawing units; the stylesheet says the same."""

_KEPT = {
    "g": ("transform",),
    "path": ("d",),
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy"),
    "text": ("x", "y", "transform"),
}
_CLASSES = frozenset({"plot", "overlay", "axis", "x", "y", "title"})
_ZERO = re.compile(r"0(\.0+)?")
_DECIMAL = re.compile(r"-?\d+\.\d+")
_UNUSED = frozenset({"background", "text-overlay", "tooltip-overlay"})


def looks(height: int) -> dict[str, Any]:
    """Return what every chart is made with: sizes that layout needs, and nothing to fetch."""
    from pygal.style import Style

    # pygal takes a letter of a title for wider than it is; by a smaller size it wraps later.
    style = Style(label_font_size=FONT, major_label_font_size=FONT, title_font_size=FONT - 2)
    return {
        "style": style,
        "width": WIDTH,
        "height": height,
        "margin": 6,
        "margin_right": 14,
        "spacing": 8,
        "show_legend": False,
        "truncate_label": -1,
        "js": (),
        "css": (),
    }


def read(chart: Any) -> tuple[Element, tuple[float, float]]:  # noqa: ANN401 (pygal has no types)
    """Return the chart's bare tree, and the width and height of its plot."""
    # What is parsed was written a moment ago, by pygal, from cleaned text.
    root = ElementTree.fromstring(chart.render())  # noqa: S314
    graph = next(one for one in root if "graph" in _classes(one))
    plot = next(one for one in graph if one.get("class") == "plot")
    frame = next(one for one in plot if "background" in _classes(one))
    return _bare(graph), (float(frame.attrib["width"]), float(frame.attrib["height"]))


def series(graph: Element, at: int) -> Iterator[Element]:
    """Yield the groups that hold a series' marks."""
    for group in graph.iter("g"):
        if f"serie-{at}" in _classes(group):
            yield group


def write(graph: Element, height: int, description: str) -> str:
    """Return a tree as SVG for a page, which a reader who cannot see it hears as `description`."""
    attributes = {
        "class": "drawing",
        "viewBox": f"0 0 {WIDTH} {height}",
        "role": "img",
        "aria-label": clean(description),
    }
    root = Element("svg", attributes)
    root.append(graph)
    return ElementTree.tostring(root, encoding="unicode")


def short(number: float) -> str:
    """Return a length to a tenth of a drawing unit."""
    return f"{round(number, 1) + 0.0:g}"


def _bare(node: Element) -> Element:
    tag, classes = _tag(node), _classes(node)
    kept = Element(tag)
    named = [name for name in classes if name in _CLASSES or name.startswith("serie-")]
    if named:
        kept.set("class", " ".join(named))
    for name in _KEPT[tag]:
        if name in node.attrib:
            kept.set(name, _DECIMAL.sub(lambda one: short(float(one[0])), node.attrib[name]))
    kept.text = node.text
    kept.extend(_bare(child) for child in node if _is_kept(child))
    if "guides" in classes:
        # On an axis of logarithms 0 is the place of 1, so what counts is the text.
        texts = [one.text or "" for one in kept if one.tag == "text"]
        kept.set("class", "zero" if any(map(_ZERO.fullmatch, texts)) else "guide")
    return kept


def _is_kept(node: Element) -> bool:
    classes = _classes(node)
    is_empty = "series" in classes and len(node) == 0
    return _tag(node) in _KEPT and not is_empty and not _UNUSED.intersection(classes)


def _tag(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _classes(node: Element) -> list[str]:
    return node.get("class", "").split()
