from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.splits import folds_by_prompt
from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.evaluate.neighbours import N_FOLDS, neighbour_scores
from routecast.types import EmbeddingArray, FloatArray


class Angles:
    """Embeds a text that is a number as a unit vector at that angle: near numbers are near."""

    identity = EmbedderIdentity(name="angles", revision="", dimension=2, digest="0" * 64)

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        angles = np.array([float(text) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def slow_scores(
    prompts: Sequence[str], labels: FloatArray, embedder: Embedder, counts: Sequence[int], seed: int
) -> FloatArray:
    """The same by sorting every pair anew: an independent, slow definition."""
    folds = folds_by_prompt(prompts, n_folds=N_FOLDS, seed=seed)
    vectors = embedder.embed(prompts)

    def mean_of_nearest(row: int, among: list[int], count: int) -> float:
        nearest = sorted(among, key=lambda other: -float(vectors[row] @ vectors[other]))
        return float(np.mean([labels[other] for other in nearest[:count]]))

    scores = np.empty(len(prompts))
    rows = range(len(prompts))
    for held_out in range(N_FOLDS):
        training = [row for row in rows if folds[row] != held_out]
        errors = [
            sum(
                (
                    mean_of_nearest(row, [r for r in training if folds[r] != folds[row]], count)
                    - labels[row]
                )
                ** 2
                for row in training
            )
            for count in counts
        ]
        best = counts[int(np.argmin(errors))]
        for row in rows:
            if folds[row] == held_out:
                scores[row] = mean_of_nearest(row, training, best)
    return scores


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(20, 40))
def test_scores_are_those_of_the_slow_definition(seed: int, n_prompts: int) -> None:
    rng = np.random.default_rng(seed)
    prompts = [f"{angle:.12f}" for angle in rng.uniform(0, 3, n_prompts)]
    labels = rng.choice([0.0, 0.5, 1.0], n_prompts)
    found = neighbour_scores(prompts, labels, Angles(), seed=seed, counts=(1, 3, 7))
    expected = slow_scores(prompts, labels, Angles(), (1, 3, 7), seed)
    np.testing.assert_allclose(found.scores, expected, atol=1e-12)


def test_labels_that_follow_the_prompts_are_found_again() -> None:
    # Angles of 0 to 3 in 200 steps; the right half wins. Only prompts near 1.5 have neighbours
    # of both kinds, so that all prompts a tenth of the range away are scored exactly.
    angles = np.linspace(0, 3, 200)
    labels = (angles > 1.5).astype(np.float64)
    found = neighbour_scores([str(a) for a in angles], labels, Angles(), counts=(3, 50))
    assert found.n_neighbours == (3,) * N_FOLDS
    far = np.abs(angles - 1.5) > 0.15
    np.testing.assert_array_equal(found.scores[far], labels[far])


def test_a_label_never_reaches_its_own_prompt_or_its_copies() -> None:
    rng = np.random.default_rng(3)
    prompts = [f"{angle:.12f}" for angle in rng.uniform(0, 3, 60)]
    prompts[1] = prompts[0]
    labels = rng.choice([0.0, 1.0], 60)
    changed = labels.copy()
    changed[0] = 1.0 - labels[0]
    before, after = (
        neighbour_scores(prompts, some, Angles(), counts=(5,)).scores for some in (labels, changed)
    )
    np.testing.assert_array_equal(before[:2], after[:2])
    assert (before != after).any()


def test_five_different_prompts_are_the_least(word_embedder: Embedder) -> None:
    with pytest.raises(ValueError, match="5 folds of 4 different prompts"):
        neighbour_scores(["a", "b", "c", "d", "a"], np.ones(5), word_embedder)
