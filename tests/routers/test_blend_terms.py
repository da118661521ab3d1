import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfTransformer

from routecast.routers.blend_shapes import N_SHAPE_SLOTS, shape_keys
from routecast.routers.blend_terms import (
    MAX_CHARACTERS,
    TermRows,
    TermScale,
    count_terms,
    multiply_terms,
)
from routecast.routers.blend_words import N_WORD_SLOTS, word_keys, word_slots
from routecast.types import EmbeddingArray

PROMPTS = ["tea or tea", "Name a river.", "", "river tea", "prove 2 + 2 = 4, then rest"]


def counted(prompts: list[str]) -> TermRows:
    return count_terms(prompts, word_keys, n_slots=N_WORD_SLOTS)


def cosines_of(left: TermRows, right: TermRows) -> EmbeddingArray:
    products = np.full((len(left), len(right)), np.nan, np.float32)
    multiply_terms(left, right.columns, out=products)
    return products


def test_terms_are_counted_from_the_start_of_a_prompt() -> None:
    counts = counted(["tea or tea", "a " * MAX_CHARACTERS + "late"])
    tea, other, a = word_slots("tea or a")
    assert dict(zip(counts.slots[:2].tolist(), counts.values[:2].tolist(), strict=True)) == {
        tea: 2.0,
        other: 1.0,
    }
    assert (counts.slots[2:].tolist(), counts.values[2:].tolist()) == ([a], [MAX_CHARACTERS / 2])


def test_weights_of_two_prompts_worked_by_hand() -> None:
    # "tea" in both prompts, "or" in the first: rarities log(3/3) + 1 = 1 and log(3/2) + 1. In
    # "tea or tea" tea weighs 1 + log 2, in "tea" it is all there is.
    counts = counted(["tea or tea", "tea"])
    rows = TermScale.of(counts).apply(counts)
    tea, other = 1 + math.log(2), 1 + math.log(1.5)
    cosines = cosines_of(rows, rows)
    assert cosines == pytest.approx(
        np.array([[1, tea / math.hypot(tea, other)], [tea / math.hypot(tea, other), 1]]), rel=1e-6
    )


def test_weights_agree_with_scikit_learn() -> None:
    counts = counted(PROMPTS)
    theirs = TfidfTransformer(sublinear_tf=True).fit_transform(counts.columns.T).toarray()
    rows = TermScale.of(counts).apply(counts)
    dense = rows.columns.T
    assert dense == pytest.approx(theirs, abs=1e-6)
    assert cosines_of(rows, rows) == pytest.approx(theirs @ theirs.T, abs=1e-6)


def test_a_prompt_without_terms_is_like_none_and_breaks_nothing() -> None:
    counts = counted(["", "tea", ""])
    rows = TermScale.of(counts).apply(counts)
    assert cosines_of(rows, rows).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert cosines_of(rows, rows.without_terms()).tolist() == [[0.0] * 3] * 3
    assert len(counted([])) == 0


@given(st.lists(st.text(max_size=80), max_size=6))
def test_rows_can_be_taken_in_any_order(prompts: list[str]) -> None:
    counts = count_terms(prompts, shape_keys, n_slots=N_SHAPE_SLOTS)
    order = np.random.default_rng(len(prompts)).permutation(len(prompts))
    shuffled = [prompts[row] for row in order]
    again = count_terms(shuffled, shape_keys, n_slots=N_SHAPE_SLOTS)
    taken = counts.take(order)
    assert taken.ends.tolist() == again.ends.tolist()
    assert taken.slots.tolist() == again.slots.tolist()
    assert taken.values.tolist() == again.values.tolist()
    assert counts.columns.sum() == sum(len(shape_keys([prompt])) for prompt in prompts)


def test_many_prompts_are_counted_as_each_alone() -> None:
    prompts = [f"{row} cups of tea {'or more ' * (row % 5)}" for row in range(150)]
    counts = counted(prompts)  # in blocks
    for row in (0, 63, 64, 127, 128, 149):
        alone, taken = counted([prompts[row]]), counts.take(np.array([row]))
        assert taken.slots.tolist() == alone.slots.tolist()
        assert taken.values.tolist() == alone.values.tolist()
