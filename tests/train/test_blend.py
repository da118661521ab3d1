from pathlib import Path

import numpy as np
import pytest

from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.errors import ConfigError, DataError
from routecast.evaluate.metrics import routing_metrics
from routecast.routers.blend import Centres, lengths_of
from routecast.routers.surface import surface_features
from routecast.stats import ridge
from routecast.train import blend
from routecast.train.blend import BlendFit, BlendSettings, Labels, fit_blend
from routecast.types import EmbeddingArray, FloatArray

WORDS = ("river", "prove", "tea", "orbit", "poem", "tax", "lemma", "song")


def planted(n_prompts: int, *, seed: int = 0) -> tuple[list[str], FloatArray]:
    """Prompts with "prove" or "lemma" have a large gap; noise on all."""
    generator = np.random.default_rng(seed)
    prompts, gaps = [], []
    for number in range(n_prompts):
        words = generator.choice(WORDS, 4)
        prompts.append(f"{' '.join(words)} {number}")
        chance = 0.8 if {"prove", "lemma"} & set(words.tolist()) else 0.1
        gaps.append(float(generator.random() < chance))
    return prompts, np.array(gaps)


def even(gaps: FloatArray) -> Labels:
    return Labels(gaps=gaps, weights=np.ones(len(gaps)), groups=np.arange(len(gaps)))


def fit(
    prompts: list[str], gaps: FloatArray, embedder: Embedder, *, n_centres: int = 1_000
) -> BlendFit:
    settings = BlendSettings(n_centres=n_centres)
    embeddings, surfaces = embedder.embed(prompts), surface_features(prompts)
    return fit_blend(embeddings, surfaces, even(gaps), settings=settings)


def x_of(found: BlendFit, prompts: list[str], embedder: Embedder) -> EmbeddingArray:
    return found.model.view.apply(embedder.embed(prompts), surface_features(prompts))


def predict(found: BlendFit, prompts: list[str], embedder: Embedder) -> FloatArray:
    return found.model.predict(x_of(found, prompts, embedder))[0]


def test_planted_words_are_found_from_two_hundred_labels(word_embedder: Embedder) -> None:
    found = fit(*planted(200), word_embedder)
    fresh, gaps = planted(500, seed=1)
    predicted = predict(found, fresh, word_embedder)
    assert predicted[gaps == 1].mean() > predicted[gaps == 0].mean() + 0.15
    assert predicted.mean() == pytest.approx(gaps.mean(), abs=0.1)


def test_labels_that_prompts_say_nothing_about_leave_little_but_the_mean(
    word_embedder: Embedder,
) -> None:
    prompts, gaps = planted(300)
    shuffled = np.random.default_rng(2).permutation(gaps)
    predicted = predict(fit(prompts, shuffled, word_embedder), prompts, word_embedder)
    assert predicted.std() < 0.25 * gaps.std()
    assert predicted.mean() == pytest.approx(gaps.mean(), abs=0.05)


def test_with_as_many_centres_as_labels_nothing_is_approximated(word_embedder: Embedder) -> None:
    prompts, gaps = planted(60)
    found = fit(prompts, gaps, word_embedder)
    held_out = []
    for row in range(0, 60, 7):  # refit without one: only centres, scale and slope move a little
        kept = [number for number in range(60) if number != row]
        other = fit([prompts[k] for k in kept], gaps[kept], word_embedder)
        held_out.append(predict(other, [prompts[row]], word_embedder)[0])
    assert found.held_out_gaps[::7] == pytest.approx(np.array(held_out), abs=0.08)
    assert np.corrcoef(found.held_out_gaps[::7], held_out)[0, 1] > 0.9


def test_fewer_centres_than_labels_predict_nearly_the_same(word_embedder: Embedder) -> None:
    prompts, gaps = planted(600)
    fresh, _ = planted(200, seed=3)
    whole, part = (
        predict(fit(prompts, gaps, word_embedder, n_centres=n), fresh, word_embedder)
        for n in (600, 200)
    )
    assert np.corrcoef(whole, part)[0, 1] > 0.95


def kernels(
    found: BlendFit, fresh: list[str], embedder: Embedder
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return k among the centres, of fresh prompts with the centres, and with themselves."""
    centres = found.model.centres
    x = x_of(found, fresh, embedder)
    own = [float(Centres(row[None]).kernel(row[None])[0, 0]) for row in x]
    among, crossed = (centres.kernel(rows).astype(np.float64) for rows in (centres.x, x))
    return among, crossed, np.array(own)


def test_gaps_and_deviations_are_those_of_a_gaussian_process_solved_directly(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratio = 0.25
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([ratio]))
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.array([0.0]))
    prompts, gaps = planted(60)
    found = fit(prompts, gaps, word_embedder)
    fresh = [*planted(20, seed=1)[0], "def f(x):\n    return {x: [1, 2]}\n" * 9]
    among, crossed, own = kernels(found, fresh, word_embedder)
    ones, inverse = np.ones(60), np.linalg.inv(ratio * among + np.eye(60))
    slope = blend.SLOPE_MEAN * gaps.std()
    targets = gaps - slope * lengths_of(found.model.centres.x)
    intercept = (ones @ inverse @ targets) / (ones @ inverse @ ones)
    residual = targets - intercept
    line = intercept + slope * lengths_of(x_of(found, fresh, word_embedder))
    expected = line + ratio * crossed @ inverse @ residual
    assert predict(found, fresh, word_embedder) == pytest.approx(expected, abs=1e-4)
    noise = residual @ inverse @ residual / (60 - 3)
    told = np.einsum("ij,jk,ik->i", ratio * crossed, inverse, ratio * crossed)
    variances = noise * (ratio * own - told + 1 / 60)  # the intercept is that of 60 labels
    deviations = found.model.gap_deviations(x_of(found, fresh, word_embedder))
    assert deviations == pytest.approx(np.sqrt(variances), rel=1e-3)
    assert deviations[-1] == deviations.max()  # unlike all


def test_noise_levels_count_by_their_evidence(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, gaps = planted(60)
    fresh = planted(10, seed=1)[0]
    ratios = np.array([0.1, 1.0])
    contrasts = np.linalg.svd(np.ones((1, 60)))[2][1:]  # without the mean, which is integrated out
    lengths = lengths_of(x_of(fit(prompts, gaps, word_embedder), prompts, word_embedder))
    targets = contrasts @ (gaps - blend.SLOPE_MEAN * gaps.std() * lengths)
    means, evidence = [], []
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.zeros(1))
    for ratio in ratios:
        monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([ratio]))
        found = fit(prompts, gaps, word_embedder)
        means.append(predict(found, fresh, word_embedder))
        among, _, _ = kernels(found, fresh, word_embedder)
        inner = contrasts @ (ratio * among + np.eye(60)) @ contrasts.T
        squares = targets @ np.linalg.solve(inner, targets)
        evidence.append(-0.5 * np.linalg.slogdet(inner)[1] - 29.5 * np.log(squares))
    shares = np.exp(np.array(evidence) - max(evidence))
    shares /= shares.sum()
    assert shares.min() > 0.02  # both count
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", ratios)
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.zeros(2))
    both = predict(fit(prompts, gaps, word_embedder), fresh, word_embedder)
    assert both == pytest.approx(shares @ np.array(means), abs=1e-4)


def test_a_held_out_gap_is_that_of_the_process_without_the_label(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratio = 0.25
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([ratio]))
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.array([0.0]))
    prompts, gaps = planted(40)
    found = fit(prompts, gaps, word_embedder)
    among, _, _ = kernels(found, prompts[:1], word_embedder)
    line = blend.SLOPE_MEAN * gaps.std() * lengths_of(found.model.centres.x)
    targets = gaps - line
    for row in range(40):
        kept = np.arange(40) != row
        inverse = np.linalg.inv(ratio * among[np.ix_(kept, kept)] + np.eye(39))
        intercept = inverse.sum(axis=0) @ targets[kept] / inverse.sum()
        expected = intercept + ratio * among[row, kept] @ inverse @ (targets[kept] - intercept)
        assert found.held_out_gaps[row] == pytest.approx(line[row] + expected, abs=1e-4)


def test_more_labels_leave_smaller_deviations_where_the_signal_is_known(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([0.25]))
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.array([0.0]))
    fresh, _ = planted(50, seed=1)
    few, many = (
        found.model.gap_deviations(x_of(found, fresh, word_embedder))
        for found in (fit(*planted(n), word_embedder) for n in (50, 400))
    )
    assert many.mean() < 0.9 * few.mean()


def test_equal_labels_give_that_gap_everywhere(word_embedder: Embedder) -> None:
    prompts, _ = planted(50)
    predicted = predict(fit(prompts, np.full(50, 0.5), word_embedder), prompts, word_embedder)
    assert predicted == pytest.approx(np.full(50, 0.5))


def test_equal_labels_leave_no_doubt_that_a_formula_could_see(word_embedder: Embedder) -> None:
    prompts, _ = planted(50)
    found = fit(prompts, np.full(50, 0.5), word_embedder)
    assert found.model.gap_deviations(x_of(found, prompts, word_embedder)).tolist() == [0.0] * 50


def test_prompts_of_one_group_do_not_vouch_for_one_another(word_embedder: Embedder) -> None:
    prompts = [f"the same question {'!' * (number % 2)}" for number in range(40)]
    prompts += [f"{word} {word} {word}" for word in WORDS * 5]
    gaps = np.tile([1.0, 0.0], 40)
    together = np.concatenate([np.zeros(40, dtype=np.int64), np.arange(1, 41)])
    embeddings, surfaces = word_embedder.embed(prompts), surface_features(prompts)
    alone, grouped = (
        fit_blend(embeddings, surfaces, Labels(gaps=gaps, weights=np.ones(80), groups=groups))
        for groups in (np.arange(80), together)
    )
    assert alone.model.least_familiarity > grouped.model.least_familiarity


def test_one_labelled_prompt_in_two_hundred_is_less_familiar_than_accepted(
    word_embedder: Embedder,
) -> None:
    prompts, gaps = planted(400)
    found = fit(prompts, gaps, word_embedder)
    fresh, _ = planted(400, seed=4)  # no longer numbers, which would have another shape
    familiarity = found.model.predict(x_of(found, fresh, word_embedder))[1]
    share = (familiarity < found.model.least_familiarity).mean()
    assert share < 0.02


def test_settings_without_a_centre_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_centres 0 must be 1 or more"):
        BlendSettings(n_centres=0)


def test_too_few_labels_are_refused(word_embedder: Embedder) -> None:
    with pytest.raises(DataError, match="2 labelled prompts"):
        fit(["a", "b"], np.array([0.0, 1.0]), word_embedder)


@pytest.mark.parametrize("benchmark", ["mmlu", "gsm8k"])
def test_three_hundred_real_labels_beat_a_random_order(benchmark: str, shared_data: Path) -> None:
    # A random order has APGR .5, with a standard error of about .025 on 1,000 prompts.
    folder = shared_data / "benchmarks" / "routellm" / benchmark
    outcomes = find_reader("routellm-eval")(folder).table
    weak, strong = (outcomes.quality(name) for name in sorted(outcomes.models, reverse=True))
    embedder = load_embedder("static")
    order = np.random.default_rng(11).permutation(len(outcomes))[:1_300]
    prompts = [outcomes.prompts[row] for row in order.tolist()]
    strong, weak = strong[order], weak[order]
    found = fit(prompts[:300], (strong - weak)[:300], embedder)
    scores = predict(found, prompts[300:], embedder)
    apgr = routing_metrics(scores, weak_quality=weak[300:], strong_quality=strong[300:]).apgr
    assert apgr > 0.55
