from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import check_grad
from scipy.stats import norm

from routecast.data.preferences import PreferenceArrays
from routecast.train.mf_loss import lay_out, loss_and_gradient, mean_loss
from routecast.types import EmbeddingArray, FloatArray

NAMES = ("a", "b", "c", "d", "e")
SHAPES = {
    "projection": (6, 4),
    "projection_bias": (4,),
    "output": (4,),
    "model_vectors": (5, 4),
}


def random_weights(generator: np.random.Generator) -> dict[str, FloatArray]:
    return {name: generator.normal(size=shape) for name, shape in SHAPES.items()}


def random_comparisons(
    generator: np.random.Generator, n_comparisons: int, n_prompts: int
) -> PreferenceArrays:
    first = generator.integers(0, 5, n_comparisons)
    return PreferenceArrays(
        prompts=tuple(str(number) for number in range(n_prompts)),
        models=NAMES,
        prompt_index=generator.integers(0, n_prompts, n_comparisons).astype(np.int32),
        model_a_index=first.astype(np.int32),
        model_b_index=((first + generator.integers(1, 5, n_comparisons)) % 5).astype(np.int32),
        outcome=generator.choice([0.0, 0.25, 0.5, 1.0], n_comparisons).astype(np.float32),
        weight=generator.uniform(0.5, 2.0, n_comparisons).astype(np.float32),
    )


def unit_rows(generator: np.random.Generator, n_prompts: int) -> FloatArray:
    rows = generator.normal(size=(n_prompts, 6))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float64)


def one_comparison(*, weight: float = 3.0) -> PreferenceArrays:
    one = np.array([0], dtype=np.int32)
    return PreferenceArrays(
        prompts=("a prompt",),
        models=("a", "b"),
        prompt_index=one,
        model_a_index=one,
        model_b_index=one + 1,
        outcome=np.array([1.0], dtype=np.float32),
        weight=np.array([weight], dtype=np.float32),
    )


@pytest.fixture
def by_hand() -> dict[str, FloatArray]:
    """One dimension, one factor: at q = 1, a scores 1 * 2 * (1 * 1 + 0) = 2 and b scores 1."""
    return {
        "projection": np.array([[1.0]]),
        "projection_bias": np.array([0.0]),
        "output": np.array([1.0]),
        "model_vectors": np.array([[2.0], [1.0]]),
    }


def test_loss_of_one_comparison_by_hand(by_hand: dict[str, FloatArray]) -> None:
    # The margin is 2 - 1 = 1 and a wins: -ln sigmoid(1) = ln(1 + e^-1) = 0.31326.
    table = lay_out(np.array([[1.0]]), one_comparison())
    loss, gradient = loss_and_gradient(by_hand, table)
    assert loss == pytest.approx(0.3132617)
    assert mean_loss(by_hand, table) == pytest.approx(0.3132617)
    # d loss / d margin = sigmoid(1) - 1 = -0.26894; the margin grows by v_a - v_b = 1 with w2.
    assert gradient["output"] == pytest.approx([-0.2689414])


def test_loss_agrees_with_a_plain_loop() -> None:
    generator = np.random.default_rng(1)
    weights = random_weights(generator)
    embeddings = unit_rows(generator, 30)
    comparisons = random_comparisons(generator, 100, 30)
    total = 0.0
    for p, a, b, y, w in zip(
        comparisons.prompt_index,
        comparisons.model_a_index,
        comparisons.model_b_index,
        comparisons.outcome,
        comparisons.weight,
        strict=True,
    ):
        hidden = weights["projection"].T @ embeddings[p] + weights["projection_bias"]
        score_a = weights["output"] @ (weights["model_vectors"][a] * hidden)
        score_b = weights["output"] @ (weights["model_vectors"][b] * hidden)
        win = 1 / (1 + np.exp(score_b - score_a))
        total -= w * (y * np.log(win) + (1 - y) * np.log(1 - win))
    table = lay_out(embeddings, comparisons)
    expected = total / comparisons.weight.sum()
    assert loss_and_gradient(weights, table)[0] == pytest.approx(expected, rel=1e-6)
    assert mean_loss(weights, table) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.7])
@pytest.mark.parametrize("name", SHAPES)
def test_gradient_agrees_with_finite_differences(name: str, noise: float) -> None:
    generator = np.random.default_rng(2)
    weights = random_weights(generator)
    table = lay_out(unit_rows(generator, 20), random_comparisons(generator, 60, 20))

    def evaluate(values: FloatArray) -> tuple[float, dict[str, FloatArray]]:
        changed = weights | {name: values.reshape(SHAPES[name])}
        return loss_and_gradient(changed, table, noise=noise)

    error = check_grad(
        lambda values: evaluate(values)[0],
        lambda values: evaluate(values)[1][name].ravel(),
        weights[name].ravel(),
    )
    assert error < 1e-6


def test_single_precision_changes_the_gradient_by_rounding_only() -> None:
    generator = np.random.default_rng(3)
    weights, rows = random_weights(generator), unit_rows(generator, 20)
    comparisons = random_comparisons(generator, 60, 20)
    _, exact = loss_and_gradient(weights, lay_out(rows, comparisons))
    _, single = loss_and_gradient(weights, lay_out(rows.astype(np.float32), comparisons))
    for name in SHAPES:
        assert single[name] == pytest.approx(exact[name], rel=1e-4, abs=1e-6)


def test_noise_of_one_comparison_is_the_integral_over_its_margin(
    by_hand: dict[str, FloatArray],
) -> None:
    # A_a - A_b = 2 - 1 = 1, so noise of 0.8 gives the margin 1 a deviation of 0.8. With z normal,
    # the loss is the integral of ln(1 + exp(-(1 + 0.8 z))).
    expected, _ = quad(lambda z: np.logaddexp(0, -(1 + 0.8 * z)) * norm.pdf(z), -10, 10)
    loss, _ = loss_and_gradient(by_hand, lay_out(np.array([[1.0]]), one_comparison()), noise=0.8)
    assert loss == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0, 6.0])
def test_quadrature_is_close_enough_for_any_spread_that_training_meets(
    spread: float, by_hand: dict[str, FloatArray]
) -> None:
    expected, _ = quad(lambda z: np.logaddexp(0, -(1 + spread * z)) * norm.pdf(z), -12, 12)
    table = lay_out(np.array([[1.0]]), one_comparison())
    assert loss_and_gradient(by_hand, table, noise=spread)[0] == pytest.approx(expected, rel=1e-2)


def test_noise_equals_the_average_over_many_noisy_copies() -> None:
    generator = np.random.default_rng(4)
    weights, rows = random_weights(generator), unit_rows(generator, 5)
    comparisons = random_comparisons(generator, 30, 5)
    drawn = [
        mean_loss(weights, lay_out(rows + 0.3 * generator.normal(size=rows.shape), comparisons))
        for _ in range(4000)
    ]
    error = np.std(drawn) / len(drawn) ** 0.5
    loss, _ = loss_and_gradient(weights, lay_out(rows, comparisons), noise=0.3)
    assert abs(loss - np.mean(drawn)) < 4 * error
    # Without the average over noise the loss is another one.
    assert abs(mean_loss(weights, lay_out(rows, comparisons)) - np.mean(drawn)) > 4 * error


def test_little_noise_is_the_second_order_penalty() -> None:
    # Wager et al. (2013): t^2 p (1 - p) / 2 per comparison, t = noise |A_a - A_b|.
    generator = np.random.default_rng(5)
    weights, rows = random_weights(generator), unit_rows(generator, 20)
    table = lay_out(rows, random_comparisons(generator, 60, 20))
    slopes = weights["projection"] @ (weights["model_vectors"] * weights["output"]).T  # (6, 5)
    constants = (weights["model_vectors"] * weights["output"]) @ weights["projection_bias"]
    scores = (table.embeddings @ slopes + constants).ravel()
    win = 1 / (1 + np.exp(scores[table.cell_b] - scores[table.cell_a]))
    distances = np.linalg.norm(slopes[:, table.model_a] - slopes[:, table.model_b], axis=0)
    penalty = table.weight @ ((0.01 * distances) ** 2 * win * (1 - win) / 2)
    noisy, _ = loss_and_gradient(weights, table, noise=0.01)
    assert noisy - mean_loss(weights, table) == pytest.approx(penalty, rel=1e-2)


def test_the_order_of_comparisons_and_the_scale_of_weights_do_not_matter() -> None:
    generator = np.random.default_rng(6)
    weights, rows = random_weights(generator), unit_rows(generator, 20)
    comparisons = random_comparisons(generator, 60, 20)
    shuffled = comparisons.take(generator.permutation(60))
    heavier = replace(shuffled, weight=7 * shuffled.weight)
    expected = loss_and_gradient(weights, lay_out(rows, comparisons), noise=0.1)
    found = loss_and_gradient(weights, lay_out(rows, heavier), noise=0.1)
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    for name in SHAPES:
        assert found[1][name] == pytest.approx(expected[1][name], rel=1e-5, abs=1e-8)


def test_prompts_that_are_never_compared_are_left_out() -> None:
    generator = np.random.default_rng(7)
    comparisons = random_comparisons(generator, 4, 50)
    embeddings: EmbeddingArray = unit_rows(generator, 50).astype(np.float32)
    table = lay_out(embeddings, comparisons)
    assert len(table.embeddings) == len(set(comparisons.prompt_index.tolist()))
