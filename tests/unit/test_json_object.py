"""JSON inside JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regroup.json_object import MOST_NESTED, can_be_sent, read_object

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), values, max_size=3), st.booleans())
def test_an_object_is_read_as_it_was_written(value: dict[str, object], ascii_only: bool) -> None:
    assert read_object(json.dumps(value, ensure_ascii=ascii_only)) == value


@given(st.text())
def test_any_other_text_is_none(text: str) -> None:
    read = read_object(text)

    assert read is None or json.loads(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"{}"',
        "{} {}",
        '{"a": NaN}',
        '{"a": [-Infinity]}',
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        '{"a": ' + "1" * 5_000 + "}",
        '{"a": ' * 500_000 + "1" + "}" * 500_000,
    ],
)
def test_what_cannot_be_sent_on_is_not_read(text: str) -> None:
    assert read_object(text) is None


@pytest.mark.parametrize(("levels", "fits"), [(MOST_NESTED - 1, True), (MOST_NESTED, False)])
def test_nesting_has_an_end(levels: int, fits: bool) -> None:
    value: object = 1
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]

    assert can_be_sent(value) is fits
