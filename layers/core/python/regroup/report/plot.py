"""Plots in layers, and bars; pygal computes the layout."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal
from xml.etree.ElementTree import Element, SubElement

from regroup.report.axis import Axis
from regroup.report.labels import Dot, Label, Pixels, place
from regroup.report.svg import looks, read, series, short, write
from regroup.report.text import clean, columns, shorten

type Mark = Literal["line", "band", "dot", "ring", "diamond", "name"]

_TITLE_COLUMNS = 46
_GAP = 8.0
"""Drawing units between the points of a line that labels keep away from."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Marks of one kind and colour, in the units of the data."""

    mark: Mark
    """`name` draws no more than labels, each over its point if there is room."""
    style: str
    """class of the colour and the dash, such as `c1 s2`"""
    points: Sequence[tuple[float, float]]
    radii: Sequence[float] = ()
    tips: Sequence[str] = ()
    """shown where the pointer rests on a mark"""
    labels: Sequence[str] = ()
    """written beside the marks"""

    @property
    def is_stroke(self) -> bool:
        """Whether the points are joined."""
        return self.mark in ("line", "band")

    def radius(self, at: int) -> float:
        """Return the radius of a mark in drawing units."""
        return self.radii[at] if self.radii else 4.5


def draw(layers: Sequence[Layer], x: Axis, y: Axis, *, description: str, height: int = 300) -> str:
    """Return the SVG of layers over one another, the first lowest.

    Args:
        layers: what is drawn; a band's points go around it.
        x: horizontal axis.
        y: vertical axis.
        description: what a reader who cannot see the plot is told.
        height: in drawing units.
    """
    import pygal  # not at the top: who only makes a Report need not have it

    chart = pygal.XY(
        **looks(height),
        xrange=(x.low, x.high),
        range=(y.low, y.high),
        x_labels=_ticks(x),
        y_labels=_ticks(y),
        show_x_labels=bool(x.ticks),
        show_y_labels=bool(y.ticks),
        x_title=shorten(x.title, _TITLE_COLUMNS),
        y_title=shorten(y.title, height // 9),
    )
    for layer in layers:
        points = [(x.at(across), y.at(up)) for across, up in layer.points]
        chart.add("", points, stroke=layer.is_stroke, show_dots=not layer.is_stroke)
    graph, size = read(chart)
    drawn = [_dress(graph, at, layer) for at, layer in enumerate(layers)]
    _label(graph, layers, drawn, size)
    return write(graph, height, description)


def draw_bars(
    labels: Sequence[str],
    groups: Sequence[tuple[str, Sequence[float]]],
    x: Axis,
    *,
    description: str,
) -> str:
    """Return the SVG of horizontal bars, the first label on top.

    Args:
        labels: one by place, short.
        groups: (class of the colour, a value by place), at each place one under the other.
        x: axis of the values.
        description: what a reader who cannot see the plot is told.
    """
    import pygal

    height = 70 + (14 * len(groups) + 8) * len(labels)
    chart = pygal.HorizontalBar(
        **looks(height),
        range=(x.low, x.high),
        # pygal makes room by the number of characters, but full-width ones are wider.
        x_labels=["x" * columns(label) for label in reversed(labels)],
        y_labels=_ticks(x),
        x_title=shorten(x.title, _TITLE_COLUMNS),
    )
    for _, values in groups:
        chart.add("", list(reversed(values)))
    graph, _ = read(chart)
    axis = next(one for one in graph.iter("g") if one.get("class") == "axis y")
    for text, label in zip(axis.iter("text"), reversed(labels), strict=True):
        text.text = clean(label)
    for at, (style, _) in enumerate(groups):
        for group in series(graph, at):
            group.set("class", f"bar {style}")
    return write(graph, height, description)


def _ticks(axis: Axis) -> list[dict[str, Any]]:
    return [{"value": at, "label": text} for at, text in axis.ticks]


def _dress(graph: Element, at: int, layer: Layer) -> list[Pixels]:
    """Give a layer its classes and marks; return where its points are drawn."""
    drawn: list[Pixels] = []
    for group in list(series(graph, at)):
        group.set("class", f"{layer.mark} {layer.style}")
        drawn += [
            (float(one.attrib["cx"]), float(one.attrib["cy"])) for one in group.iter("circle")
        ]
        for path in group.iter("path"):
            numbers = [float(one) for one in re.findall(r"-?[\d.]+", path.attrib["d"])]
            drawn += zip(numbers[::2], numbers[1::2], strict=True)
        if not layer.is_stroke:
            shown = () if layer.mark == "name" else drawn
            group[:] = [_mark(layer, number, *point) for number, point in enumerate(shown)]
    return drawn


def _mark(layer: Layer, at: int, x: float, y: float) -> Element:
    radius = layer.radius(at)
    if layer.mark == "diamond":
        reach = 1.3 * radius
        corners = ((x, y - reach), (x + reach, y), (x, y + reach), (x - reach, y))
        path = "L".join(f"{short(across)} {short(down)}" for across, down in corners)
        mark = Element("path", {"d": f"M{path}Z"})
    else:
        mark = Element("circle", {"cx": short(x), "cy": short(y), "r": short(radius)})
    if layer.tips:
        SubElement(mark, "title").text = clean(layer.tips[at])
    return mark


def _label(
    graph: Element, layers: Sequence[Layer], drawn: Sequence[Sequence[Pixels]], size: Pixels
) -> None:
    wanted: list[Dot] = []
    lines: list[Pixels] = []
    # Later layers are drawn on top: they matter more, and choose first.
    for layer, points in reversed(list(zip(layers, drawn, strict=True))):
        for at, text in enumerate(layer.labels):
            radius = 0.0 if layer.mark == "name" else layer.radius(at)
            wanted.append(Dot(*points[at], radius, clean(text)))
        if layer.mark == "line":
            lines += _along(points)
    if not wanted:
        return
    overlay = next(one for one in graph if "overlay" in one.get("class", "").split())
    group = SubElement(overlay, "g", {"class": "labels"})
    for dot, label in zip(wanted, place(wanted, size, lines=lines), strict=True):
        if label is not None:
            _write(group, dot, label)


def _write(group: Element, dot: Dot, label: Label) -> None:
    if label.far:
        end = f"L{short(label.x)} {short(label.y)}"
        SubElement(group, "path", {"d": f"M{short(dot.x)} {short(dot.y)}{end}"})
    attributes = {"x": short(label.x), "y": short(label.y), "dy": ".35em"}
    if dot.radius == 0:
        attributes["class"] = "number"
    attributes["text-anchor"] = label.anchor
    SubElement(group, "text", attributes).text = label.text


def _along(corners: Sequence[Pixels]) -> Iterator[Pixels]:
    """Yield points all along a line."""
    for (x, y), end in pairwise(corners):
        steps = max(1, math.ceil(math.dist((x, y), end) / _GAP))
        for step in range(steps):
            share = step / steps
            yield x + share * (end[0] - x), y + share * (end[1] - y)
