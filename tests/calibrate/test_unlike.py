"""Whether traffic is like the training data."""

import numpy as np
import pytest

from routecast.calibrate.unlike import MAX_PROMPTS, compare_traffic
from routecast.types import EmbeddingArray


def cloud(n: int, *, seed: int, shift: float = 0.0, dimension: int = 32) -> EmbeddingArray:
    points = np.random.default_rng(seed).normal(size=(n, dimension))
    points[:, 0] += shift
    unit: EmbeddingArray = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit.astype(np.float32)


def test_the_coefficient_by_hand() -> None:
    # On a line, {0, 2} against {1, 3}: across |0-1|, |0-3|, |2-1|, |2-3| with mean 6/4; within, 2
    # each. (2 * 1.5 - 2 - 2) / (2 * 1.5) = -1/3.
    found = compare_traffic(
        np.array([[0], [2]], dtype=np.float32), np.array([[1], [3]], dtype=np.float32)
    )
    assert found.energy_coefficient == pytest.approx(-1 / 3)


def test_the_distance_agrees_with_a_slow_loop() -> None:
    one, other = cloud(12, seed=0).astype(float), cloud(9, seed=1, shift=1.0).astype(float)

    def mean(left: list[tuple[int, int]], a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([np.linalg.norm(a[i] - b[j]) for i, j in left]))

    across = mean([(i, j) for i in range(12) for j in range(9)], one, other)
    within = mean([(i, j) for i in range(12) for j in range(12) if i != j], one, one)
    within += mean([(i, j) for i in range(9) for j in range(9) if i != j], other, other)
    found = compare_traffic(one.astype(np.float32), other.astype(np.float32))
    assert found.energy_coefficient == pytest.approx((2 * across - within) / (2 * across), abs=1e-6)


def test_the_distance_is_the_same_from_either_side() -> None:
    one, other = cloud(40, seed=2), cloud(60, seed=3, shift=2.0)
    there, back = compare_traffic(one, other), compare_traffic(other, one)
    assert there.energy_coefficient == pytest.approx(back.energy_coefficient)


def test_chance_alone_is_called_unlike_in_one_of_a_hundred_samples() -> None:
    alike = [
        compare_traffic(cloud(60, seed=2 * seed), cloud(80, seed=2 * seed + 1)).verdict == "alike"
        for seed in range(60)
    ]
    assert sum(alike) >= 57  # 59.4 are expected


def test_traffic_from_elsewhere_is_unlike_and_a_small_shift_only_different() -> None:
    references = cloud(300, seed=4)
    far, near = (compare_traffic(cloud(300, seed=5, shift=s), references) for s in (5.0, 1.5))
    assert (far.verdict, far.p_value) == ("unlike", 0.001)
    assert near.verdict == "different"
    assert "label some of it and train" in far.words
    assert near.words != far.words


def test_a_large_sample_is_compared_in_part_and_repeatably() -> None:
    sample, references = cloud(MAX_PROMPTS + 300, seed=6), cloud(50, seed=7)
    one, again = (compare_traffic(sample, references, seed=3) for _ in range(2))
    assert one.n_prompts == MAX_PROMPTS
    assert one == again


@pytest.mark.parametrize(("n", "dimension"), [(1, 32), (5, 16)])
def test_too_few_or_foreign_vectors_are_refused(n: int, dimension: int) -> None:
    with pytest.raises(ValueError, match="two rows or more of one dimension"):
        compare_traffic(cloud(n, seed=8, dimension=dimension), cloud(5, seed=9))
