import math
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfTransformer

from routecast.routers.blend_terms import (
    MAX_CHARACTERS,
    TermScale,
    count_terms,
    shape_of,
    shapes_of,
    term_cosines,
    words_of,
)

PROMPTS = ["tea or tea", "Name a river.", "", "river tea", "prove 2 + 2 = 4, then rest"]


def hashes(*terms: str) -> list[int]:
    return [crc32(term.encode()) for term in terms]


def test_words_are_taken_whatever_their_case_from_the_start_of_a_prompt() -> None:
    expected = hashes("tea", "tea", "na\u00efve", "2x")
    assert words_of("Tea, TEA: na\u00efve\n2x") == expected
    assert words_of("a " * MAX_CHARACTERS + "late") == hashes("a") * (MAX_CHARACTERS // 2)


def test_shapes_of_a_short_prompt_worked_by_hand() -> None:
    # "is" up to 3 small letters, "USA" two capitals or more, "Paris" a first capital and 4 to 7,
    # "I" one capital alone, 12345 five digits counted as four.
    assert shapes_of("is USA, Paris I\n12345 \u00e9") == hashes(
        *("a1", "AA1", ",", "Aa2", "Aa1", "\n", "d4", "\u00e9"),
        *("a1 AA1", "AA1 ,", ", Aa2", "Aa2 Aa1", "Aa1 \n", "\n d4", "d4 \u00e9"),
    )
    assert [shape_of(piece) for piece in ("of", "iPhone", "elephant", "\U0001f600")] == [
        *("a1", "a2", "a3", "\U0001f600")
    ]


def test_weights_of_two_prompts_worked_by_hand() -> None:
    # "tea" in both prompts, "or" in the first: rarities log(3/3) + 1 = 1 and log(3/2) + 1. In
    # "tea or tea" tea weighs 1 + log 2, in "tea" it is all there is.
    counts = count_terms(["tea or tea", "tea"], words_of, n_slots=4_096)
    rows = TermScale.of(counts).apply(counts)
    tea, other = 1 + math.log(2), 1 + math.log(1.5)
    cosines = term_cosines(rows, rows)
    assert cosines == pytest.approx(
        np.array([[1, tea / math.hypot(tea, other)], [tea / math.hypot(tea, other), 1]])
    )


def test_weights_agree_with_scikit_learn() -> None:
    counts = count_terms(PROMPTS, words_of, n_slots=64)
    theirs = TfidfTransformer(sublinear_tf=True).fit_transform(counts.columns.T).toarray()
    rows = TermScale.of(counts).apply(counts)
    dense = rows.columns.T
    assert dense == pytest.approx(theirs, abs=1e-6)
    assert term_cosines(rows, rows) == pytest.approx(theirs @ theirs.T, abs=1e-6)


def test_a_prompt_without_terms_is_like_none_and_breaks_nothing() -> None:
    counts = count_terms(["", "tea", ""], words_of, n_slots=64)
    rows = TermScale.of(counts).apply(counts)
    assert term_cosines(rows, rows).tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert term_cosines(rows, rows.without_terms()).tolist() == [[0.0] * 3] * 3
    assert len(count_terms([], words_of, n_slots=64)) == 0


@given(st.lists(st.text(max_size=80), max_size=6))
def test_rows_can_be_taken_in_any_order(prompts: list[str]) -> None:
    counts = count_terms(prompts, shapes_of, n_slots=128)
    order = np.random.default_rng(len(prompts)).permutation(len(prompts))
    again = count_terms([prompts[row] for row in order], shapes_of, n_slots=128)
    taken = counts.take(order)
    assert taken.ends.tolist() == again.ends.tolist()
    assert taken.slots.tolist() == again.slots.tolist()
    assert taken.values.tolist() == again.values.tolist()
    assert counts.columns.sum() == sum(len(shapes_of(prompt)) for prompt in prompts)
