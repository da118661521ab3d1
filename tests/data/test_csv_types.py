"""Types of CSV columns."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.csv_types import TextKind, join_kinds, kinds_of, with_kinds

TEXTS = st.lists(
    st.none()
    | st.integers().map(str)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.sampled_from(["true", "False", "007", "1.10", "1e5", "-0", "+1", "", "x", "nan", "inf"]),
)


def kind(*texts: str | None, name: str = "a") -> TextKind:
    return kinds_of(pl.DataFrame({name: texts}, schema={name: pl.String}))[name]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", None, "-20", "0"], TextKind.INTEGER),
        (["1", "0.5", "-2.0", "7.5e-05"], TextKind.NUMBER),
        (["True", "false"], TextKind.TRUTH),
        (["007", "1"], TextKind.TEXT),
        (["1.10"], TextKind.TEXT),  # a version, perhaps: 1.1 would be another
        (["1", "x"], TextKind.TEXT),
        (["true", "1"], TextKind.TEXT),
        (["nan"], TextKind.TEXT),
        (["12345678901234567890"], TextKind.TEXT),
        ([None, None], TextKind.NOTHING),
    ],
)
def test_texts_are_numbers_only_where_nothing_is_lost(
    texts: list[str | None], expected: TextKind
) -> None:
    assert kind(*texts) == expected


@pytest.mark.parametrize("name", ["prompt", "model_a", "model_b", "answer|m"])
def test_texts_of_the_contract_stay_texts(name: str) -> None:
    assert kind("1", name=name) == TextKind.TEXT


@given(TEXTS)
@settings(max_examples=100, deadline=None)
def test_reading_texts_never_changes_what_they_say(texts: list[str | None]) -> None:
    table = pl.DataFrame({"a": texts}, schema={"a": pl.String})
    read = with_kinds(table, kinds_of(table))["a"].to_list()
    for text, value in zip(texts, read, strict=True):
        if isinstance(value, bool):
            assert text is not None
            assert text.lower() == str(value).lower()
        elif isinstance(value, int | float):
            assert text is not None
            assert value == type(value)(text)
        else:
            assert value == text


@pytest.mark.parametrize(
    ("kinds", "joined"),
    [
        ([TextKind.INTEGER, TextKind.NUMBER], TextKind.NUMBER),
        ([TextKind.NOTHING, TextKind.TRUTH], TextKind.TRUTH),
        ([TextKind.TRUTH, TextKind.INTEGER], TextKind.TEXT),
        ([TextKind.INTEGER, TextKind.TEXT], TextKind.TEXT),
    ],
)
def test_parts_of_a_column_are_joined_to_what_holds_both(
    kinds: list[TextKind], joined: TextKind
) -> None:
    assert join_kinds({"a": kind} for kind in kinds) == {"a": joined}
    assert join_kinds({"a": kind} for kind in reversed(kinds)) == {"a": joined}
