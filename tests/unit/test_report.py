"""The report: one page that asks for nothing, says what it is given, and is always the same."""

import hashlib
import math
import re
import subprocess
import sys
from dataclasses import replace
from datetime import date
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regroup.report import (
    ClusterMap,
    Curve,
    Frontier,
    Point,
    RegretByCluster,
    Reliability,
    Report,
    Table,
    render,
)
from regroup.report.axis import Axis, linear, logarithmic, plain
from regroup.report.figures import MOST_POINTS, figures
from regroup.report.labels import Dot, place
from regroup.report.plot import Layer, draw, draw_bars
from regroup.report.text import clean, columns, shorten
from tests.pages.sample import HOSTILE, LONG, TERMS, a_report

ROOT = Path(__file__).parents[2]
EMPTY = Report(title="t", made_at="today", verdict="route", route=True)

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)
positive = st.floats(min_value=1e-9, max_value=1e9)


class Page(HTMLParser):
    """The tags, attributes and texts of a page; a tag closed out of turn is an error."""

    VOID = frozenset({"meta", "link", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)


@cache
def whole() -> str:
    return render(a_report())


def drawings(page: str) -> list[ElementTree.Element]:
    found = re.findall(r'<svg class="drawing".*?</svg>', page, flags=re.DOTALL)
    return [ElementTree.fromstring(one) for one in found]  # noqa: S314 - our own page


def drawing(report: Report) -> ElementTree.Element:
    (found,) = drawings(render(report))
    return found


def texts(node: ElementTree.Element) -> list[str]:
    return [one.text or "" for one in node.iter("text")]


def circles(node: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in node.iter("circle")]


def of_class(node: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [one for one in node.iter() if name in one.get("class", "").split()]


def test_the_page_asks_for_nothing() -> None:
    page = Page(whole())
    assert not {"script", "iframe", "img", "object", "embed", "base", "form"} & set(page.tags)
    links = [value for name, value in page.attributes if name in ("href", "src", "data", "action")]
    assert links == ["data:,"]
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"https?:|//\w|@import|url\(|javascript:", whole().replace("s3://", ""))


def test_a_browser_is_told_to_fetch_and_run_nothing() -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', whole())
    assert policy is not None
    assert policy[1] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_the_same_report_is_the_same_page_in_another_process_and_pygal_is_imported_late() -> None:
    program = (
        "import hashlib, sys, tests.pages.sample as sample, regroup.report as report\n"
        "early = 'pygal' in sys.modules\n"
        "page = report.render(sample.a_report()).encode()\n"
        "sys.stdout.write(f'{early} {hashlib.sha256(page).hexdigest()}')"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout == f"False {hashlib.sha256(whole().encode()).hexdigest()}"


def test_nothing_of_the_drawing_library_or_of_today_is_left_in_the_page() -> None:
    assert "pygal" not in whole().lower()
    assert date.today().isoformat() not in whole()
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", whole())


def test_the_verdict_comes_first_then_a_table_then_the_plots_then_the_rest() -> None:
    page = whole()
    places = [
        page.index(one)
        for one in (
            'class="verdict yes"',
            "<h2>Policies</h2>",
            "<h2>Reward against cost</h2>",
            "<h2>Clusters of queries</h2>",
            "<h2>Regret by cluster</h2>",
            "<h2>Probability of being best</h2>",
            "<h2>Learning curve</h2>",
            "<h2>By dataset</h2>",
            "<h2>How this was measured</h2>",
        )
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(("route", "kind"), [(True, "yes"), (False, "no")])
def test_the_verdict_is_marked_by_a_sign_and_not_by_colour_alone(route: bool, kind: str) -> None:
    page = render(replace(EMPTY, route=route, verdict="do as I say"))
    sign = {"yes": "✓", "no": "✕"}[kind]
    assert f'<p class="verdict {kind}"><span class="sign" aria-hidden="true">{sign}</span>' in page
    assert "<span>do as I say</span>" in page


def test_every_plot_has_a_title_a_caption_axes_and_words_for_who_cannot_see_it() -> None:
    page = whole()
    found = re.findall(r"<figure>.*?</figure>", page, flags=re.DOTALL)
    assert len(found) == 7
    for one in found:
        (node,) = drawings(one)
        assert node.get("role") == "img"
        assert len(node.get("aria-label", "")) > 40
        assert re.search(r"<h2>\w", one)
        assert re.search(r"<figcaption>\w", one)
        titles = [title.text or "" for title in of_class(node, "title")]
        # Bars need no title of the clusters' axis.
        assert len(titles) == (1 if "Regret by" in one else 2)
        assert all("(" in title or title == "Requests" for title in titles)


@pytest.mark.parametrize(
    "report",
    [
        EMPTY,
        replace(EMPTY, frontier=Frontier((), (), ())),
        replace(EMPTY, frontier=Frontier([Point("a", math.nan, 0.5)], (), [(1, math.inf)])),
        replace(EMPTY, clusters=ClusterMap((), ())),
        replace(EMPTY, regret=RegretByCluster([("a", math.nan, 0.1)])),
        replace(EMPTY, reliability=[Reliability((), 0.0, "empty")]),
        replace(
            EMPTY, curves=[Curve("empty", "x", "y", [("a", ()), ("b", [(1, 2, 3, math.nan)])])]
        ),
    ],
)
def test_what_has_nothing_to_show_is_left_out(report: Report) -> None:
    page = render(report)
    assert not {"figure", "section", "svg", "table"} & set(Page(page).tags)
    assert 'class="plots"' not in page


@pytest.mark.parametrize(
    "report",
    [
        replace(EMPTY, frontier=Frontier([Point("only", 0.0, 0.0)], (), ())),
        replace(EMPTY, frontier=Frontier([Point("a", 1, 0.5), Point("b", 1, 0.5)], [(1, 0.5)], ())),
        replace(EMPTY, clusters=ClusterMap([(1.0, 1.0, 0)], ())),
        replace(EMPTY, regret=RegretByCluster([("only", 0.0, 0.0)])),
        replace(EMPTY, reliability=[Reliability([(0.5, 0.5, 0)], math.nan, "one bin")]),
        replace(EMPTY, curves=[Curve("one", "x", "y", [("a", [(0, 1, 1, 1)])], log_x=True)]),
    ],
)
def test_a_plot_of_a_single_place_is_drawn(report: Report) -> None:
    page = render(report)
    assert len(drawings(page)) == 1
    assert "nan" not in page


def test_names_are_text_wherever_they_stand() -> None:
    page = Page(whole())
    assert "script" not in page.tags
    assert HOSTILE in page.texts["th"]
    assert LONG in page.texts["th"]
    assert any(text.startswith(f"{HOSTILE}: 0.741 at") for text in page.texts["title"])
    assert any(text.startswith("<script>doc") for text in page.texts["text"])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
@example("</td></th></table><script>1</script>")
@example("\x00\x1b\ud800\u202e\ufffe")
@example("'\" onload=x &amp; &#60;")
def test_no_text_changes_the_structure_of_the_page(name: str) -> None:
    def page(text: str) -> str:
        table = Table(text, (text, text), [(text, text)], note=text or "-")
        facts = [(text, text)]
        return render(Report(text, text, text, True, facts=facts, tables=[table]))

    found, simple = Page(page(name)), Page(page("plain"))
    assert found.tags == simple.tags
    assert page(name).encode("utf-8")
    assert "".join(found.texts.get("dd", [])) == clean(name)


@settings(max_examples=8, deadline=None)
@given(st.text(min_size=1, max_size=30))
@example("<b>&\x00\ud800")
def test_no_label_breaks_a_drawing(name: str) -> None:
    frontier = Frontier([Point(name, 1.0, 0.5)], (), ())
    bars = RegretByCluster([(name, 0.1, 0.2)])
    page = render(replace(EMPTY, frontier=frontier, regret=bars))
    assert len(drawings(page)) == 2
    assert page.encode("utf-8")


@given(st.text(), st.integers(1, 40))
def test_a_text_is_cut_to_its_room_and_no_further(text: str, most: int) -> None:
    cut = shorten(text, most)
    assert columns(cut) <= most
    line = " ".join(clean(text).split())
    assert (cut == line) == (columns(line) <= most)


def test_full_width_characters_take_two_columns() -> None:
    assert columns("日本") == 4
    assert shorten("日本語のモデル", 7) == "日本語…"


@given(st.lists(finite, min_size=1, max_size=20))
@example([1.0, 1.0 + 1e-9])
@example([1e9, 1e9 + 1e-6])
@example([0.1, 0.30000000000000004])
def test_a_linear_axis_holds_every_value_and_its_ticks_differ(values: list[float]) -> None:
    axis = linear("title", values)
    reach = 1e-6 * (axis.high - axis.low) + 1e-9
    assert axis.low - reach <= min(values) <= max(values) <= axis.high + reach
    places, names = zip(*axis.ticks, strict=True)
    assert 2 <= len(places) <= 8
    assert list(places) == sorted(set(places))
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([0.51, 0.79], ["0.5", "0.6", "0.7", "0.8"]),
        ([0.0, 12_000.0], ["0", "2,500", "5,000", "7,500", "10,000", "12,500"]),
        ([0.0, 12.0], ["0.0", "2.5", "5.0", "7.5", "10.0", "12.5"]),
        ([-0.05, 0.1], ["-0.05", "0.00", "0.05", "0.10"]),
    ],
)
def test_ticks_are_round(values: list[float], ticks: list[str]) -> None:
    assert [text for _, text in linear("title", values).ticks] == ticks


@given(st.lists(positive, min_size=1, max_size=20))
def test_an_axis_of_logarithms_holds_every_value(values: list[float]) -> None:
    axis = logarithmic("title", values)
    assert all(axis.low < axis.at(value) < axis.high for value in values)
    assert all(axis.low <= at <= axis.high for at, _ in axis.ticks)
    assert len(axis.ticks) <= 6


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_a_number_is_written_plainly_to_three_digits(value: float) -> None:
    text = plain(value)
    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.006)


@st.composite
def crowds(draw: st.DrawFn) -> list[Dot]:
    place = st.floats(5, 295)
    many = draw(st.integers(1, 12))
    return [
        Dot(draw(place), draw(place), 4.5, draw(st.text("ab日", min_size=1, max_size=14)))
        for _ in range(many)
    ]


@settings(max_examples=30, deadline=None)
@given(crowds())
def test_no_label_covers_another_or_a_dot_or_leaves_the_plot(dots: list[Dot]) -> None:
    boxes = [label.box for label in place(dots, (300.0, 300.0)) if label is not None]
    for at, box in enumerate(boxes):
        assert not any(box.meets(other) for other in boxes[at + 1 :])
        assert not any(box.holds(dot.x, dot.y) for dot in dots)
        assert box.left >= 0
        assert box.top >= 0
        assert box.right <= 300
        assert box.bottom <= 300


def test_where_dots_leave_no_room_a_label_is_left_out_rather_than_put_over_them() -> None:
    grid = [(15.0 * across + 8, 15.0 * down + 8) for across in range(8) for down in range(8)]
    dots = [Dot(x, y, 4.5, "longer than a gap") for x, y in grid]
    labels = place(dots, (120.0, 120.0))
    assert None in labels
    boxes = [label.box for label in labels if label is not None]
    assert not any(box.holds(*point) for box in boxes for point in grid)


def test_a_label_avoids_lines_and_its_neighbours_where_there_is_room() -> None:
    dot = Dot(100.0, 100.0, 4.5, "name")
    (beside,) = place([dot], (300.0, 300.0))
    assert beside is not None
    assert beside.anchor == "start"
    line = [(float(x), 100.0) for x in range(105, 300, 5)]
    (moved,) = place([dot], (300.0, 300.0), lines=line)
    assert moved is not None
    assert not any(moved.box.holds(*point) for point in line)


def test_dots_stand_where_the_data_says() -> None:
    x, y = Axis("x", 0, 10, ((0, "0"), (10, "10"))), Axis("y", 0, 1, ((0, "0"), (1, "1")))
    points = [(0.0, 0.0), (5.0, 0.25), (10.0, 1.0)]
    text = draw([Layer("dot", "c1", points)], x, y, description="d")
    (left, bottom), middle, (right, top) = circles(ElementTree.fromstring(text))  # noqa: S314
    assert right - left > 250
    assert bottom - top > 150
    assert middle[0] == pytest.approx((left + right) / 2, abs=0.2)
    assert middle[1] == pytest.approx(bottom - 0.25 * (bottom - top), abs=0.2)


def test_bars_are_as_long_as_their_values_and_the_first_is_on_top() -> None:
    values = [("c1", [0.1, 0.2]), ("c6", [0.3, 0.4])]
    text = draw_bars(["first", "second"], values, linear("x", [0.0, 0.4]), description="d")
    node = ElementTree.fromstring(text)  # noqa: S314
    bars = {
        style: sorted(
            (float(one.attrib["y"]), float(one.attrib["width"]))
            for one in of_class(node, style)[0].iter("rect")
        )
        for style in ("c1", "c6")
    }
    lengths = [width for style in ("c1", "c6") for _, width in bars[style]]
    assert lengths == pytest.approx(
        [lengths[0], 2 * lengths[0], 3 * lengths[0], 4 * lengths[0]], 0.01
    )
    assert bars["c1"][0] < bars["c6"][0] < bars["c1"][1]
    names = {one.text: float(one.attrib["y"]) for one in node.iter("text")}
    assert names["first"] < names["second"]


@pytest.mark.parametrize(
    ("costs", "log"), [((1.0, 20.0), False), ((1.0, 40.0), True), ((0.0, 40.0), False)]
)
def test_costs_far_apart_are_drawn_by_their_logarithm(costs: tuple[float, ...], log: bool) -> None:
    points = [Point(str(cost), cost, 0.5 + cost / 100) for cost in costs]
    blind = [(one.cost_usd, one.reward) for one in points]
    report = replace(EMPTY, frontier=Frontier(points, (), blind))
    assert ("logarithmic" in render(report)) == log
    # What is straight in the data bends on an axis of logarithms.
    (line,) = of_class(drawing(report), "c0")
    (path,) = line.iter("path")
    assert (len(re.findall(r"[\d.]+", path.attrib["d"])) > 2 * len(blind)) == log


def test_sixteen_clusters_look_different_and_their_terms_are_in_the_legend() -> None:
    (found,) = figures(replace(EMPTY, clusters=a_report().clusters))
    assert len({(mark, style) for mark, style, _ in found.legend}) == 16
    assert [text for _, _, text in found.legend] == [f"{at}: {one}" for at, one in enumerate(TERMS)]


def test_every_cluster_has_its_number_written_in() -> None:
    node = drawing(replace(EMPTY, clusters=a_report().clusters))
    assert {int(text) for text in texts(of_class(node, "labels")[0])} == set(range(16))


def test_a_map_of_too_many_queries_is_thinned_evenly() -> None:
    points = [(float(at), float(at % 7), at // MOST_POINTS) for at in range(4 * MOST_POINTS)]
    node = drawing(replace(EMPTY, clusters=ClusterMap(points, ())))
    drawn = [len(circles(group)) for group in of_class(node, "small")]
    assert drawn == [MOST_POINTS // 4] * 4


def test_a_larger_bin_has_a_larger_dot() -> None:
    curve = [(0.2, 0.1, 10), (0.5, 0.5, 1_000), (0.8, 0.9, 100)]
    node = drawing(replace(EMPTY, reliability=[Reliability(curve, 0.1, "title")]))
    radii = [float(one.attrib["r"]) for one in node.iter("circle")]
    assert radii[0] < radii[2] < radii[1]


def test_the_calibration_error_is_said() -> None:
    assert "Expected calibration error: 0.021." in whole()


def test_intervals_are_drawn_around_their_line() -> None:
    curve = Curve(
        "title", "x (rows)", "y (reward)", [("a", [(0, 0.5, 0.4, 0.7), (1, 0.6, 0.5, 0.8)])]
    )
    node = drawing(replace(EMPTY, curves=[curve]))
    ((band,), (line,)) = (
        [path.attrib["d"] for group in of_class(node, name) for path in group.iter("path")]
        for name in ("band", "line")
    )

    def heights(path: str) -> list[float]:
        return [float(one) for one in re.findall(r"[\d.]+ ([\d.]+)", path)]

    low_left, low_right, high_right, high_left = heights(band)
    left, right = heights(line)
    assert high_left < left < low_left
    assert high_right < right < low_right


def test_the_numbers_behind_a_plot_can_be_read() -> None:
    page = render(replace(EMPTY, frontier=a_report().frontier))
    assert "<summary>Numbers</summary>" in page
    assert '<th scope="row">opus</th><td class="n">31</td><td class="n">0.752</td>' in page


def test_numbers_stand_at_the_right_and_words_at_the_left() -> None:
    table = Table("t", ("name", "value", "word"), [("1", "0.5", "yes"), ("2", "–", "no")])
    page = render(replace(EMPTY, tables=[table]))
    assert '<th scope="col">name</th><th scope="col" class="n">value</th>' in page
    assert '<th scope="row">2</th><td class="n">–</td><td>no</td>' in page


def test_a_table_scrolls_inside_itself_and_a_keyboard_reaches_it() -> None:
    page = render(replace(EMPTY, tables=[Table("by <b>", ("a",), [("1",)])]))
    assert '<div class="scroll" role="region" tabindex="0" aria-label="by &lt;b&gt;">' in page
