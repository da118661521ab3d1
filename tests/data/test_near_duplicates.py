import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.data import run_table
from routecast.data.near_duplicates import (
    find_near_duplicates,
    group_near_duplicates,
    jaccard_index,
    word_runs,
)
from routecast.data.run_table import candidate_pairs, table_of_runs
from routecast.embed.protocol import Embedder
from routecast.types import EmbeddingArray, IntArray

SENTENCE = "the quick brown fox jumps over the lazy dog near the old stone bridge"


def ones(n_rows: int) -> EmbeddingArray:
    """Embeddings that are all alike, so that the words alone decide."""
    return np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (n_rows, 1))


def test_jaccard_of_five_word_runs_by_hand() -> None:
    # a b c d e f has the runs abcde and bcdef; a b c d e g has abcde and bcdeg: 1 of 3 is shared.
    assert jaccard_index(word_runs("a b c d e f"), word_runs("A b, c d e g!")) == pytest.approx(
        1 / 3
    )


def test_a_short_text_is_one_run() -> None:
    assert word_runs("Hi there") == {("hi", "there")}
    assert word_runs("") == {()}


def test_a_reworded_ending_counts_and_another_text_does_not() -> None:
    left = [SENTENCE, "something else entirely"]
    right = ["unrelated words in a row", SENTENCE + " today"]
    found = find_near_duplicates(left, ones(2), right, ones(2))
    # The 14 words have 10 runs; one word more makes 11, of which 10 are shared.
    assert list(zip(found.left_index, found.right_index, strict=True)) == [(0, 1)]
    assert found.jaccard == pytest.approx([10 / 11])
    assert found.n_proposed == 4


def test_cosine_below_the_limit_proposes_nothing() -> None:
    apart = np.array([[0.0, 1.0]], dtype=np.float32)
    found = find_near_duplicates([SENTENCE], ones(1), [SENTENCE], apart)
    assert (len(found), found.n_proposed) == (0, 0)


def test_blocks_give_what_a_plain_loop_gives(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routecast.data.near_duplicates._BLOCK_CELLS", 64)
    words = SENTENCE.split()
    texts = [" ".join(words[start:] + words[: start // 2]) for start in range(10)] * 2
    vectors = word_embedder.embed(texts)
    found = find_near_duplicates(texts, vectors, texts[:7], vectors[:7], min_cosine=0.9)
    slow = [
        (i, j)
        for i in range(20)
        for j in range(7)
        if float(vectors[i] @ vectors[j]) >= 0.9
        and jaccard_index(word_runs(texts[i]), word_runs(texts[j])) >= 0.6
    ]
    assert list(zip(found.left_index, found.right_index, strict=True)) == slow
    assert len(slow) > 14


def test_groups_are_chains_and_named_by_their_first_row() -> None:
    words = SENTENCE.split()
    chain = [" ".join(words), " ".join([*words, "x"]), " ".join([*words, "x", "y"])]
    texts = ["alone in this table of rows", *chain]
    groups = group_near_duplicates(texts, ones(4).__getitem__, max_group_share=1.0)
    assert groups.labels.tolist() == [0, 1, 1, 1]
    assert (groups.sizes, groups.oversized) == ((3,), ())


def test_a_group_over_the_limit_is_reported_and_not_merged() -> None:
    texts = [SENTENCE] * 3 + [f"row number {n} of many others here" for n in range(97)]
    vectors = ones(100)
    groups = group_near_duplicates(texts, vectors.__getitem__, min_jaccard=0.99)
    assert groups.oversized == (3,)
    assert groups.labels.tolist() == list(range(100))


@given(
    st.lists(st.lists(st.sampled_from("abcdef"), max_size=14).map(" ".join), max_size=12),
    st.sampled_from([0.3, 0.6, 0.9]),
)
def test_groups_are_those_of_a_plain_loop_over_all_pairs(
    texts: list[str], min_jaccard: float
) -> None:
    rng = np.random.default_rng(len(texts))
    angles = rng.uniform(0, 0.8, len(texts))  # cosines of .95 end at .32
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    groups = group_near_duplicates(
        texts, vectors.__getitem__, min_jaccard=min_jaccard, max_group_share=1.0
    )
    parents = list(range(len(texts)))
    for one in range(len(texts)):
        for other in range(one):
            alike = jaccard_index(word_runs(texts[one]), word_runs(texts[other])) >= min_jaccard
            if alike and float(vectors[one] @ vectors[other]) >= 0.95:
                old, new = sorted((parents[one], parents[other]))
                parents = [old if parent == new else parent for parent in parents]
    expected = [p if parents.count(p) <= max(2, len(texts)) else row
                for row, p in enumerate(parents)]  # fmt: skip
    assert groups.labels.tolist() == expected


def test_a_template_that_most_texts_share_costs_no_comparison_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    template = " ".join(f"word{number}" for number in range(30))
    texts = [
        f"{template} " + " ".join(f"own{rng.integers(10**9)}" for _ in range(40))
        for _ in range(2000)
    ]
    table = table_of_runs(texts)
    assert 26 * 2000 <= len(table.runs) < 26 * 2000 + 20  # what they share, and equal hashes
    assert list(candidate_pairs(table, min_jaccard=0.6)) == []  # and nobody looks at it
    embedded: list[int] = []

    def embed(rows: IntArray) -> EmbeddingArray:
        embedded.extend(rows.tolist())
        return ones(len(rows))

    assert group_near_duplicates(texts, embed).sizes == ()
    assert embedded == []


def test_texts_that_are_nearly_all_alike_are_compared_a_bounded_number_of_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"{SENTENCE} {row}" for row in range(3000)]  # Jaccard 10 / 12: 4.5 million pairs
    n_embedded = 0

    def embed(rows: IntArray) -> EmbeddingArray:
        nonlocal n_embedded
        n_embedded += len(rows)
        return ones(len(rows))

    groups = group_near_duplicates(texts, embed)
    assert groups.oversized == (3000,)
    assert n_embedded == 3000  # each with its neighbour; the chain leaves nothing to compare
    monkeypatch.setattr(run_table, "MAX_LOOKED_AT", 1000)
    pairs = list(candidate_pairs(table_of_runs(texts), min_jaccard=0.6))
    assert sum(len(left) for left, _ in pairs) <= 1000


@given(st.lists(st.text(alphabet="ab ", max_size=12), max_size=8))
def test_every_text_is_in_one_group_and_groups_name_a_member(texts: list[str]) -> None:
    labels = group_near_duplicates(texts, ones(len(texts)).__getitem__, max_group_share=1.0).labels
    assert labels.shape == (len(texts),)
    assert all(labels[label] == label and label <= row for row, label in enumerate(labels))


def test_embeddings_that_do_not_match_the_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="one row per text"):
        find_near_duplicates(["a"], ones(2), ["b"], ones(1))
