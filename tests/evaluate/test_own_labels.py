import numpy as np
import pytest

from routecast.data.splits import folds_by_prompt
from routecast.embed.protocol import Embedder
from routecast.evaluate.own_labels import own_label_ranks, ranks_by_fold
from routecast.routers.ridge import FeatureScale
from routecast.routers.surface import surface_features
from routecast.stats import ridge
from routecast.stats.ridge import fit_ridge
from routecast.types import FloatArray


@pytest.fixture
def one_noise_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave nothing that the labels of all folds decide together."""
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([0.25]))
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.array([0.0]))


def labelled(n_prompts: int, seed: int = 0) -> tuple[list[str], FloatArray]:
    """Return prompts of two words and a number, and gaps that one of the words decides in part."""
    rng = np.random.default_rng(seed)
    words = rng.choice(["rice", "trains", "prove", "name"], (n_prompts, 2))
    prompts = [f"{one} {other} {number}" for number, (one, other) in enumerate(words)]
    hard = (words == "prove").any(axis=1)
    return prompts, np.where(rng.random(n_prompts) < 0.7, hard, rng.random(n_prompts) < 0.5) * 1.0


@pytest.mark.usefixtures("one_noise_level")
def test_ranks_are_those_of_a_fit_to_the_other_folds(word_embedder: Embedder) -> None:
    prompts, gaps = labelled(75)
    folds = folds_by_prompt(prompts, n_folds=7, seed=3)  # 75 prompts are 7 folds of ten or more
    embeddings, surfaces = word_embedder.embed(prompts), surface_features(prompts)
    features = FeatureScale.of(embeddings, surfaces).apply(embeddings, surfaces)
    scores = np.empty(75)
    for fold in range(7):
        others, inside = np.flatnonzero(folds != fold), folds == fold
        ones = np.ones(len(others))
        fit = fit_ridge(features[others], gaps[others], weights=ones, groups=np.arange(len(others)))
        scores[inside] = fit.intercept + features[inside] @ fit.coefficients
    found = own_label_ranks(prompts, gaps, word_embedder, seed=3)
    np.testing.assert_allclose(found, ranks_by_fold(scores.round(9), folds), atol=1e-12)


@pytest.mark.usefixtures("one_noise_level")
def test_a_label_never_reaches_its_own_fold_nor_copies_of_its_prompt(
    word_embedder: Embedder,
) -> None:
    prompts, gaps = labelled(60)
    prompts[1] = prompts[0]
    changed = gaps.copy()
    changed[0] = -1.0
    before, after = (own_label_ranks(prompts, some, word_embedder) for some in (gaps, changed))
    folds = folds_by_prompt(prompts, n_folds=5, seed=0)  # 59 different prompts
    inside = folds == folds[0]
    assert inside[1]
    assert before[0] == before[1]
    np.testing.assert_array_equal(before[inside], after[inside])
    assert (before != after).any()


def test_labels_that_follow_a_word_are_found_again(word_embedder: Embedder) -> None:
    prompts, _ = labelled(200)
    hard = np.array(["prove" in prompt for prompt in prompts])
    found = own_label_ranks(prompts, hard.astype(np.float64), word_embedder)
    folds = folds_by_prompt(prompts, n_folds=10, seed=0)
    for fold in range(10):  # shares of the two differ between folds
        inside = folds == fold
        assert found[inside & hard].min() > found[inside & ~hard].max()


def test_equal_labels_order_nothing(word_embedder: Embedder) -> None:
    prompts, _ = labelled(60)
    found = own_label_ranks(prompts, np.full(60, 0.3), word_embedder)
    np.testing.assert_array_equal(found, 0.5)


def test_ranks_are_within_the_fold_and_equal_scores_share_one() -> None:
    # Fold 0 has .1, .9, .9: a third of it is below and half of itself, (1 - .5) / 3; the two
    # that are equal share (1 + 2 / 2) / 3. Fold 1 has one, at half of itself.
    found = ranks_by_fold(np.array([0.9, 0.1, 0.9, 5.0]), np.array([0, 0, 0, 1]))
    np.testing.assert_allclose(found, [2 / 3, 1 / 6, 2 / 3, 1 / 2])


def test_two_different_prompts_are_the_least(word_embedder: Embedder) -> None:
    with pytest.raises(ValueError, match="2 folds of 1 different prompts"):
        own_label_ranks(["a", "a"], np.array([0.0, 1.0]), word_embedder)
