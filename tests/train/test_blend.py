from pathlib import Path

import numpy as np
import pytest

from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.errors import ConfigError, DataError
from routecast.evaluate.metrics import routing_metrics
from routecast.routers.blend_kernel import describe
from routecast.stats import ridge
from routecast.train import blend
from routecast.train.blend import BlendFit, BlendSettings, Labels, fit_blend
from routecast.types import FloatArray

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
    return fit_blend(describe(prompts, embedder.embed(prompts)), even(gaps), settings=settings)


def predict(found: BlendFit, prompts: list[str], embedder: Embedder) -> FloatArray:
    return found.model.predict(found.model.views(prompts, embedder.embed(prompts)))[0]


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


def slow_deviations(
    kernel: FloatArray, crossed: FloatArray, own: FloatArray, gaps: FloatArray, ratio: float
) -> FloatArray:
    """Solve for the posterior of intercept + signal directly, prompt by prompt."""
    ones = np.ones(len(gaps))
    inverse = np.linalg.inv(ratio * kernel + np.eye(len(gaps)))
    intercept = (ones @ inverse @ gaps) / (ones @ inverse @ ones)
    residual = gaps - intercept
    noise = residual @ inverse @ residual / (len(gaps) - 3)
    deviations = []
    for row, variance in zip(ratio * crossed, ratio * own, strict=True):
        missing = 1.0 - row @ inverse @ ones
        spread = variance - row @ inverse @ row + missing**2 / (ones @ inverse @ ones)
        deviations.append((noise * spread) ** 0.5)
    return np.array(deviations)


def test_deviations_are_those_of_a_gaussian_process_solved_directly(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([0.25]))
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.array([0.0]))
    prompts, gaps = planted(60)
    model = fit(prompts, gaps, word_embedder).model
    fresh = [*planted(20, seed=1)[0], "def f(x):\n    return {x: [1, 2]}\n" * 9]
    views = model.views(fresh, word_embedder.embed(fresh))
    slope = blend.LENGTH_SLOPE * float(gaps.std()) * model.centres.log_lengths
    expected = slow_deviations(
        blend._kernel(model.centres, model.centres),
        blend._kernel(views, model.centres),
        np.diag(blend._kernel(views, views)),
        gaps - slope,
        0.25,
    )
    assert model.gap_deviations(views) == pytest.approx(expected, rel=1e-3)
    assert model.gap_deviations(views)[-1] == model.gap_deviations(views).max()  # unlike all


def test_deviations_over_several_ratios_hold_how_their_means_differ(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Var = E[Var | t] + Var[E | t], each ratio counting by its evidence.
    prompts, gaps = planted(60)
    fresh = planted(10, seed=1)[0]
    ratios, flat = np.array([0.1, 1.0]), np.zeros(2)
    means, variances, evidence = [], [], []
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.zeros(1))
    for ratio in ratios:
        monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([ratio]))
        model = fit(prompts, gaps, word_embedder).model
        views = model.views(fresh, word_embedder.embed(fresh))
        means.append(model.predict(views)[0])
        variances.append(model.gap_deviations(views) ** 2)
        contrasts = np.linalg.svd(np.ones((1, 60)))[2][1:]
        targets = contrasts @ (
            gaps - blend.LENGTH_SLOPE * float(gaps.std()) * model.centres.log_lengths
        )
        inner = ratio * blend._kernel(model.centres, model.centres) + np.eye(60)
        inner = contrasts @ inner @ contrasts.T
        squares = targets @ np.linalg.solve(inner, targets)
        evidence.append(-0.5 * np.linalg.slogdet(inner)[1] - 29.5 * np.log(squares))
    shares = np.exp(np.array(evidence) - max(evidence))
    shares /= shares.sum()
    spread = shares @ (np.array(means) - shares @ np.array(means)) ** 2
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", ratios)
    monkeypatch.setattr(ridge, "LOG_PRIOR", flat)
    found = fit(prompts, gaps, word_embedder).model.gap_deviations(views) ** 2
    assert shares.min() > 0.02  # both count
    assert found == pytest.approx(shares @ np.array(variances) + spread, rel=2e-3)


def test_more_labels_leave_smaller_deviations_where_the_signal_is_known(
    word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([0.25]))
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.array([0.0]))
    fresh, _ = planted(50, seed=1)
    few, many = (
        found.model.gap_deviations(found.model.views(fresh, word_embedder.embed(fresh)))
        for found in (fit(*planted(n), word_embedder) for n in (50, 400))
    )
    assert many.mean() < 0.9 * few.mean()


def test_equal_labels_give_that_gap_everywhere(word_embedder: Embedder) -> None:
    prompts, _ = planted(50)
    predicted = predict(fit(prompts, np.full(50, 0.5), word_embedder), prompts, word_embedder)
    assert predicted == pytest.approx(np.full(50, 0.5))


def test_equal_labels_leave_no_doubt_that_a_formula_could_see(word_embedder: Embedder) -> None:
    prompts, _ = planted(50)
    model = fit(prompts, np.full(50, 0.5), word_embedder).model
    views = model.views(prompts, word_embedder.embed(prompts))
    assert model.gap_deviations(views).tolist() == [0.0] * 50


def test_prompts_of_one_group_do_not_vouch_for_one_another(word_embedder: Embedder) -> None:
    prompts = [f"the same question {'!' * (number % 2)}" for number in range(40)]
    prompts += [f"{word} {word} {word}" for word in WORDS * 5]
    gaps = np.tile([1.0, 0.0], 40)
    together = np.concatenate([np.zeros(40, dtype=np.int64), np.arange(1, 41)])
    described = describe(prompts, word_embedder.embed(prompts))
    alone, grouped = (
        fit_blend(described, Labels(gaps=gaps, weights=np.ones(80), groups=groups))
        for groups in (np.arange(80), together)
    )
    assert alone.model.least_familiarity > grouped.model.least_familiarity


def test_one_labelled_prompt_in_two_hundred_is_less_familiar_than_accepted(
    word_embedder: Embedder,
) -> None:
    prompts, gaps = planted(400)
    found = fit(prompts, gaps, word_embedder)
    fresh, _ = planted(400, seed=4)  # no longer numbers, which would have another shape
    views = found.model.views(fresh, word_embedder.embed(fresh))
    share = (found.model.predict(views)[1] < found.model.least_familiarity).mean()
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
