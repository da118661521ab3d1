"""Fitting ``knn``: what length gets, what the labels choose, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError, DataError
from routecast.routers.knn import Knn
from routecast.train.knn import (
    CHOSEN,
    LENGTH_WEIGHTS,
    SHARPNESSES,
    KnnSettings,
    fit_knn,
)
from routecast.train.knn_clusters import Clusters, gather_clusters
from routecast.train.options import parse_options
from routecast.train.pair_labels import PromptLabels
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.registry import find_family
from routecast.train.sources import set_of_outcomes
from routecast.types import AnyArray, EmbeddingArray, FloatArray


def labels_of(gaps: FloatArray) -> PromptLabels:
    n_labels = len(gaps)
    return PromptLabels(rows=np.arange(n_labels), wins=(1 + gaps) / 2, weights=np.ones(n_labels))


def two_topics(n_each: int, seed: int) -> tuple[EmbeddingArray, FloatArray]:
    """Two directions with a little noise; strong wins on the first, on the second it does not."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(np.eye(2, 8), n_each, axis=0)
    vectors = centres + 0.1 * generator.normal(size=centres.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.repeat([0.8, 0.0], n_each)


def test_two_topics_become_two_clusters_with_their_mean_gaps() -> None:
    vectors, gaps = two_topics(50, seed=0)
    settings = KnnSettings(n_centres=2, sharpness=30.0, prior=0.0, length_weight=0.0)
    knn = fit_knn(["x"] * 100, vectors, labels_of(gaps), settings=settings).model
    assert sorted(knn.masses) == [50.0, 50.0]
    assert knn.base_gap == pytest.approx(0.4)
    # far topics hardly see each other at sharpness 30: e^-30 of the other's weight
    assert knn.predict(["x", "x"], np.eye(2, 8, dtype=np.float32)) == pytest.approx(
        [0.8, 0.0], abs=1e-6
    )


def test_length_gets_the_asked_share_of_the_spread() -> None:
    # the labels around each prompt, its own left out, are its topic's: gaps 0.4 above and below
    # the mean, a spread of 0.4; half of it per deviation of length is 0.2
    vectors, gaps = two_topics(50, seed=1)
    prompts = ["x" * n for n in range(1, 101)]
    settings = KnnSettings(n_centres=2, sharpness=30.0, prior=0.0, length_weight=0.5)
    knn = fit_knn(prompts, vectors, labels_of(gaps), settings=settings).model
    assert knn.length_slope == pytest.approx(0.2, abs=1e-6)
    logs = np.log1p(np.arange(1, 101))
    assert knn.length_mean == pytest.approx(logs.mean())
    assert knn.length_deviation == pytest.approx(logs.std())


def test_labels_that_say_nothing_leave_length_nothing_either() -> None:
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    knn = fit_knn([f"{n}" for n in range(40)], vectors, labels_of(np.full(40, 0.3))).model
    assert knn.predict(["a", "long " * 99], vectors[:2]) == pytest.approx([0.3, 0.3], abs=1e-6)


def test_fits_of_one_seed_are_equal_and_the_order_of_prompts_hardly_matters() -> None:
    vectors, gaps = two_topics(30, seed=3)
    prompts = [f"prompt {n}" for n in range(60)]
    settings = KnnSettings(n_centres=2)
    first = fit_knn(prompts, vectors, labels_of(gaps), settings=settings).model
    second = fit_knn(prompts, vectors, labels_of(gaps), settings=settings).model
    assert np.array_equal(first.centres, second.centres)
    order = np.random.default_rng(0).permutation(60)
    shuffled = fit_knn(
        [prompts[row] for row in order], vectors[order], labels_of(gaps[order]), settings=settings
    ).model
    assert shuffled.predict(prompts, vectors) == pytest.approx(
        first.predict(prompts, vectors), abs=1e-5
    )


def test_clusters_may_be_made_once_for_many_fits() -> None:
    vectors, gaps = two_topics(30, seed=4)
    prompts = [f"prompt {n}" for n in range(60)]
    clusters = gather_clusters(vectors, n_centres=5, seed=7)
    settings = KnnSettings(n_centres=5, sharpness=20.0, seed=7)
    given_them = fit_knn(prompts, vectors, labels_of(gaps), settings=settings, clusters=clusters)
    made = fit_knn(prompts, vectors, labels_of(gaps), settings=settings)
    assert np.array_equal(
        given_them.model.predict(prompts, vectors), made.model.predict(prompts, vectors)
    )


def test_more_clusters_than_prompts_and_equal_prompts_are_no_trouble() -> None:
    vectors = np.tile(np.eye(1, 4, dtype=np.float32), (5, 1))
    knn = fit_knn(["same"] * 5, vectors, labels_of(np.array([1.0, 1.0, 0.0, 0.0, 0.5]))).model
    assert len(knn.centres) == 1
    assert knn.predict(["same"], vectors[:1]) == pytest.approx([0.5], abs=1e-6)


def test_too_few_labels_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match="3 are the fewest"):
        fit_knn(["a", "b"], np.eye(2, dtype=np.float32), labels_of(np.zeros(2)))
    with pytest.raises(ConfigError, match="n_centres 0"):
        KnnSettings(n_centres=0)
    with pytest.raises(ConfigError, match="sharpness nan"):
        KnnSettings(sharpness=float("nan"))
    with pytest.raises(ConfigError, match=r"length_weight -0\.5"):
        KnnSettings(length_weight=-0.5)
    with pytest.raises(ConfigError, match=r"length_far_share 1\.5 must be from 0 to 1"):
        KnnSettings(length_far_share=1.5)
    with pytest.raises(ConfigError, match=r"sharpness -1\.0 .* or 'chosen'"):
        KnnSettings(sharpness=-1.0)
    with pytest.raises(ConfigError, match=r"prior -1\.0 must be a number of 0\.0 or more$"):
        KnnSettings(prior=-1.0)


def test_labelled_prompts_are_predicted_from_the_others() -> None:
    vectors = np.eye(2, 4, dtype=np.float32)[[0, 0, 1, 1]]
    labels = labels_of(np.array([0.8, 0.6, 0.0, 0.2]))
    settings = KnnSettings(sharpness=30.0, prior=0.0, length_weight=0.0)
    alone = fit_knn(["x"] * 4, vectors, labels, settings=settings)
    # the other topic counts e^-30: what is left is the gap of the prompt at the same place
    assert alone.held_out_gaps == pytest.approx([0.6, 0.8, 0.2, 0.0], abs=1e-6)
    assert alone.squared_error == pytest.approx(0.04, abs=1e-6)  # each is 0.2 off
    groups = np.array([5, 5, 2, 2])
    blunt = replace(settings, sharpness=5.0)
    paired = fit_knn(["x"] * 4, vectors, labels, settings=blunt, groups=groups)
    # only the other topic is left: (0 + 0.2) / 2 and (0.8 + 0.6) / 2
    assert paired.held_out_gaps == pytest.approx([0.1, 0.1, 0.7, 0.7], abs=1e-5)
    assert paired.squared_error == pytest.approx((0.49 + 0.25 + 0.49 + 0.25) / 4, abs=1e-5)
    whole = fit_knn(["x"] * 4, vectors, labels, settings=blunt, groups=np.zeros(4, np.int64))
    assert whole.held_out_gaps == pytest.approx([0.4] * 4, abs=1e-6)  # nothing left but the mean


def noisy_labels(seed: int) -> tuple[list[str], EmbeddingArray, PromptLabels]:
    """Forty prompts of any length, with gaps and weights at random."""
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(40, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = PromptLabels(
        rows=np.arange(40), wins=generator.random(40), weights=generator.uniform(0.5, 2.0, 40)
    )
    return ["x" * n for n in generator.integers(1, 400, 40).tolist()], vectors, labels


def predicted_without(fit: Knn, clusters: Clusters, labels: PromptLabels, kept: AnyArray) -> Knn:
    """Count the labels of some prompts only, the slow way; scales stay as they are."""
    weights = np.where(kept, labels.weights / labels.weights.mean(), 0.0)
    base_gap = float(np.average(labels.gaps, weights=weights))
    n_centres = len(clusters.centres)
    gap_sums, masses = np.zeros(n_centres), np.zeros(n_centres)
    for place, weight, gap in zip(clusters.places, weights, labels.gaps, strict=True):
        gap_sums[place] += weight * (gap - base_gap)
        masses[place] += weight
    return replace(fit, gap_sums=gap_sums, masses=masses, base_gap=base_gap)


@pytest.mark.parametrize("n_centres", [7, 100])
def test_held_out_gaps_are_those_of_fits_without_the_group(n_centres: int) -> None:
    prompts, vectors, labels = noisy_labels(seed=5)
    groups = np.random.default_rng(6).integers(0, 15, 40)
    clusters = gather_clusters(vectors, n_centres=n_centres, seed=0)
    settings = KnnSettings(sharpness=4.0, prior=0.7, length_weight=0.5)
    fit = fit_knn(prompts, vectors, labels, settings=settings, clusters=clusters, groups=groups)
    for group in set(groups.tolist()):
        others = predicted_without(fit.model, clusters, labels, groups != group)
        rows = np.flatnonzero(groups == group)
        found = others.predict([prompts[row] for row in rows], vectors[rows])
        assert fit.held_out_gaps[rows] == pytest.approx(found, abs=2e-6)


@given(seed=st.integers(0, 10_000), n_groups=st.integers(2, 30), sharpness=st.floats(0.0, 40.0))
def test_a_group_s_own_labels_never_move_its_held_out_gaps(
    seed: int, n_groups: int, sharpness: float
) -> None:
    prompts, vectors, labels = noisy_labels(seed)
    groups = np.random.default_rng(seed).integers(0, n_groups, 40)
    own = groups == groups[0]
    moved = replace(labels, wins=np.where(own, 1.0 - labels.wins, labels.wins))
    settings = KnnSettings(sharpness=sharpness, length_weight=0.0)
    before, after = (
        fit_knn(prompts, vectors, one, settings=settings, groups=groups).held_out_gaps[own]
        for one in (labels, moved)
    )
    assert after == pytest.approx(before, abs=1e-5)


def test_of_all_settings_those_that_predict_best_are_kept() -> None:
    prompts, vectors, labels = noisy_labels(seed=8)
    groups = np.arange(40) // 2
    chosen = fit_knn(prompts, vectors, labels, groups=groups)
    errors = {
        (sharpness, weight): fit_knn(
            prompts, vectors, labels, groups=groups,
            settings=KnnSettings(sharpness=sharpness, length_weight=weight),
        ).squared_error
        for sharpness in SHARPNESSES
        for weight in LENGTH_WEIGHTS
    }  # fmt: skip
    best = min(errors, key=lambda pair: errors[pair])
    assert (chosen.settings.sharpness, chosen.settings.length_weight) == best
    assert chosen.squared_error == errors[best]
    half = fit_knn(prompts, vectors, labels, settings=KnnSettings(sharpness=12.0), groups=groups)
    assert half.settings.sharpness == 12.0
    assert half.squared_error == min(errors[12.0, weight] for weight in LENGTH_WEIGHTS)


def test_labels_that_rise_with_length_choose_much_of_it_and_others_none() -> None:
    generator = np.random.default_rng(9)
    vectors, gaps = two_topics(150, seed=9)
    lengths = generator.integers(1, 2_000, 300)
    logs = np.log1p(lengths)
    rising = 0.5 * gaps + 0.2 * (logs - logs.mean()) / logs.std()
    prompts = ["x" * n for n in lengths.tolist()]
    with_length = fit_knn(prompts, vectors, labels_of(rising)).settings
    assert with_length.length_weight == max(LENGTH_WEIGHTS)  # 0.2 beside a spread of 0.2
    without = fit_knn(prompts, vectors, labels_of(gaps)).settings
    assert without.length_weight == 0.0


def test_many_small_topics_need_a_sharper_kernel_than_two_large_ones() -> None:
    generator = np.random.default_rng(10)
    topics = generator.normal(size=(60, 16))
    vectors = np.repeat(topics, 5, axis=0) + 0.1 * generator.normal(size=(300, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    gaps = np.repeat(generator.choice([-0.5, 0.5], 60), 5)
    small = fit_knn(["x"] * 300, vectors.astype(np.float32), labels_of(gaps)).settings
    noise = generator.normal(size=300)
    large_vectors, large_gaps = two_topics(150, seed=10)
    large = fit_knn(["x"] * 300, large_vectors, labels_of(large_gaps - 0.4 + 0.2 * noise)).settings
    assert small.sharpness > large.sharpness


def test_what_was_chosen_stands_in_the_manifest(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    settings = TrainSettings(router="knn", strong=("big",), weak=("small",))
    trained = train_router(
        [set_of_outcomes(planted_outcomes(300))], settings, embedder=word_embedder
    )
    stated = trained.artifact.manifest.settings
    assert stated["sharpness"] in SHARPNESSES
    assert stated["length_weight"] in LENGTH_WEIGHTS
    assert stated["prior"] == 0.1
    given_one = replace(settings, options={"sharpness": 50.0, "length_weight": 0.25})
    trained = train_router(
        [set_of_outcomes(planted_outcomes(300))], given_one, embedder=word_embedder
    )
    stated = trained.artifact.manifest.settings
    assert (stated["sharpness"], stated["length_weight"]) == (50.0, 0.25)


def test_a_knn_is_calibrated_on_labels_that_it_also_learned_from_or_on_those_set_aside(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    sets = [set_of_outcomes(planted_outcomes(300))]
    settings = TrainSettings(router="knn", strong=("big",), weak=("small",))
    crosswise = train_router(sets, settings, embedder=word_embedder)
    assert crosswise.artifact.manifest.calibration.sample.startswith("300 cross-fitted prompts")
    assert crosswise.artifact.manifest.training.n_prompts == 300
    assert crosswise.held_out is not None
    assert crosswise.held_out.n_prompts == 300
    aside = train_router(
        sets, replace(settings, sets_validation_aside=True), embedder=word_embedder
    )
    assert aside.artifact.manifest.calibration.sample.startswith("30 held-out prompts")
    assert aside.artifact.manifest.training.n_prompts == 240


def test_settings_may_be_left_to_the_labels_by_name() -> None:
    given_them = parse_options(find_family("knn"), ["sharpness=chosen", "length_weight=0.5"])
    assert given_them == {"sharpness": CHOSEN, "length_weight": 0.5}
