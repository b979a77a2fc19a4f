"""Where the labels of dots go: none over another or over a dot, few over a line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from regroup.report.text import columns, shorten

type Pixels = tuple[float, float]

HEIGHT = 14.0
"""Of a line of label text, in drawing units."""
SHORTEST = 9
"""Columns that a label is cut to where the whole has no room."""

_NARROW, _WIDE = 7.6, 12.0
"""Of a character; no font that a browser is likely to have is wider."""
_DISTANCES = (3.0, 11.0, 20.0, 32.0, 46.0, 62.0, 80.0)
_FAR = 11.0
_LEADER_POINTS = 10


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot that wants a label."""

    x: float
    y: float
    radius: float
    """0 where no dot is drawn: the label may stand on the place itself"""
    text: str


class Box(NamedTuple):
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, x: float, y: float, margin: float = 0.0) -> bool:
        """Return whether a point is inside or within the margin."""
        return (
            self.left - margin < x < self.right + margin
            and self.top - margin < y < self.bottom + margin
        )

    def meets(self, other: "Box") -> bool:
        """Return whether the two share any of their area."""
        return (
            self.left < other.right
            and self.right > other.left
            and self.top < other.bottom
            and self.bottom > other.top
        )


@dataclass(frozen=True, slots=True)
class Label:
    """Text, its anchor and the middle of its line."""

    text: str
    x: float
    y: float
    anchor: Literal["start", "middle", "end"] = "middle"
    far: bool = False
    """A line from the dot should lead to it."""

    @property
    def box(self) -> Box:
        """The room it takes."""
        width = _width(self.text)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return Box(left, self.y - HEIGHT / 2, left + width, self.y + HEIGHT / 2)


def place(dots: Sequence[Dot], size: Pixels, *, lines: Sequence[Pixels] = ()) -> list[Label | None]:
    """Return a label for each dot; None where no room is left.

    Args:
        dots: what is to be labelled, the most important first.
        size: width and height of the plot.
        lines: points along what is drawn.
    """
    board = _Board(Box(0.0, 0.0, *size), [dot for dot in dots if dot.radius > 0], list(lines))
    return [board.put(dot) for dot in dots]


@dataclass(slots=True)
class _Board:
    room: Box
    dots: Sequence[Dot]
    lines: list[Pixels]
    taken: list[Box] = field(default_factory=list)

    def put(self, dot: Dot) -> Label | None:
        for text in (dot.text, shorten(dot.text, SHORTEST)):
            fitting = [
                (penalty + self._price(dot, label), at, label)
                for at, (penalty, label) in enumerate(_around(dot, text, self.room.right))
                if self._fits(label.box)
            ]
            if fitting:
                label = min(fitting)[2]
                self.taken.append(label.box)
                self.lines += _leader(dot, label)
                return label
        return None

    def _fits(self, box: Box) -> bool:
        room = self.room
        return (
            box.left >= room.left
            and box.top >= room.top
            and box.right <= room.right
            and box.bottom <= room.bottom
            and not any(map(box.meets, self.taken))
            and not any(box.holds(dot.x, dot.y, dot.radius) for dot in self.dots)
        )

    def _price(self, dot: Dot, label: Label) -> float:
        box, leader = label.box, _leader(dot, label)
        over_lines = sum(box.holds(*point) for point in self.lines)
        # Beside another dot a label would be taken for that one's.
        beside = sum(box.holds(one.x, one.y, one.radius + 9) for one in self.dots if one != dot)
        through = sum(one.holds(*point) for one in self.taken for point in leader)
        return 1.5 * over_lines + 12.0 * beside + 4.0 * through


def _around(dot: Dot, text: str, room: float) -> Iterator[tuple[float, Label]]:
    """Yield labels with how much worse than the best each is."""
    if dot.radius == 0:
        yield 0.0, Label(text, dot.x, dot.y)
    # Near the plot's edge the middle of a text gives way.
    half = _width(text) / 2
    middle = max(half, min(dot.x, room - half))
    for ring, distance in enumerate(_DISTANCES):
        reach, far, penalty = dot.radius + distance, distance > _FAR, 2.0 * ring
        yield penalty, Label(text, dot.x + reach, dot.y, "start", far)
        yield penalty + 0.2, Label(text, dot.x - reach, dot.y, "end", far)
        for worse, sign in ((0.3, -1), (0.4, 1)):
            y = dot.y + sign * (reach + HEIGHT / 2)
            slant = dot.y + sign * (0.7 * reach + HEIGHT / 3)
            yield penalty + worse, Label(text, middle, y, "middle", far)
            yield penalty + worse + 0.2, Label(text, dot.x + 0.7 * reach, slant, "start", far)
            yield penalty + worse + 0.3, Label(text, dot.x - 0.7 * reach, slant, "end", far)


def _leader(dot: Dot, label: Label) -> list[Pixels]:
    if not label.far:
        return []
    shares = [step / _LEADER_POINTS for step in range(1, _LEADER_POINTS)]
    return [(dot.x + (label.x - dot.x) * one, dot.y + (label.y - dot.y) * one) for one in shares]


def _width(text: str) -> float:
    wide = max(columns(text) - len(text), 0)
    return wide * _WIDE + (len(text) - wide) * _NARROW
