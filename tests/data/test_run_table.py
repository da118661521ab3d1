"""Runs of five words as numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.data import run_table
from routecast.data.near_duplicates import jaccard_index, word_runs
from routecast.data.run_table import candidate_pairs, table_of_runs

TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "B", "c_1", "\u00e9t\u00e9", "\u0130", "\u5b57", "d!"])).map(
        " ".join
    ),
    min_size=2,
    max_size=10,
)


def test_shared_runs_are_kept_and_all_are_counted() -> None:
    # a b c d e f has two runs, abcde and bcdef; the second text has abcde and bcdex; the third is
    # one short run of its own. Only abcde is in two texts.
    table = table_of_runs(["a b c d e f", "A b, c d e x", "hello"])
    assert table.n_runs.tolist() == [2, 2, 1]
    assert table.starts.tolist() == [0, 1, 2, 2]
    assert table.runs[0] == table.runs[1]


@given(TEXTS)
def test_the_jaccard_index_is_that_of_the_sets_of_runs(texts: list[str]) -> None:
    left, right = np.triu_indices(len(texts), k=1)
    table = table_of_runs(texts)
    sets = [word_runs(text) for text in texts]
    expected = [jaccard_index(sets[i], sets[j]) for i, j in zip(left, right, strict=True)]
    assert table.n_runs.tolist() == [len(runs) for runs in sets]
    np.testing.assert_array_equal(table.jaccard(left, right, at_least=1e-9), expected)


@given(TEXTS, st.sampled_from([0.2, 0.6, 1.0]), st.integers(1, 40))
def test_no_pair_that_reaches_the_index_is_missed(
    texts: list[str], min_jaccard: float, n_chars: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_table, "_BLOCK_CHARS", n_chars)
        patch.setattr(run_table, "_MIN_RUNS", 5)
        table = table_of_runs(texts)
    found = {
        pair
        for left, right in candidate_pairs(table, min_jaccard=min_jaccard)
        for pair in zip(left.tolist(), right.tolist(), strict=True)
    }
    sets = [word_runs(text) for text in texts]
    for other in range(len(texts)):
        for one in range(other):
            if jaccard_index(sets[one], sets[other]) >= min_jaccard:
                assert (one, other) in found


def test_no_texts_have_no_runs() -> None:
    table = table_of_runs([])
    assert table.starts.tolist() == [0]
    assert list(candidate_pairs(table, min_jaccard=0.6)) == []
