from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from routecast.train.training_rows import TrainingRows, training_order


def test_rows_of_a_batch_are_about_equally_long() -> None:
    # 8 rows in batches of 2: sorted by length these are 4 pairs of equal rows, in random order.
    lengths = np.array([7, 3, 9, 5, 5, 9, 3, 7])
    order = training_order(lengths, batch=2, n_steps=4, seed=3).reshape(4, 2)
    assert sorted(lengths[order].tolist()) == [[3, 3], [5, 5], [7, 7], [9, 9]]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 30), st.integers(0, 5))
def test_every_row_comes_as_often_as_any_other_or_once_more(
    n_rows: int, batch: int, n_steps: int, seed: int
) -> None:
    lengths = np.random.default_rng(seed).integers(1, 20, n_rows)
    order = training_order(lengths, batch=batch, n_steps=n_steps, seed=seed)
    assert len(order) == n_steps * batch
    counts = Counter(order.tolist())
    times = [counts[row] for row in range(n_rows)]
    # The last pass may be shuffled batches of it, and one row be left for the next pass.
    assert max(times) - min(times) <= 2


def test_the_order_is_the_seeds_and_shorter_fits_are_not_its_prefix_by_chance() -> None:
    lengths = np.arange(50)
    first, again, other = (
        training_order(lengths, batch=4, n_steps=30, seed=seed).tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_the_digest_depends_on_ids_targets_and_weights() -> None:
    def digest(ids: list[list[int]], target: float = 0.5, weight: float = 1.0) -> str:
        return TrainingRows(
            ids=ids, targets=np.full(len(ids), target), weights=np.full(len(ids), weight)
        ).digest()

    first = digest([[1, 2], [3]])
    assert digest([[1, 2], [3]]) == first
    others = [digest([[1], [2, 3]]), digest([[1, 2], [3]], 0.4), digest([[1, 2], [3]], 0.5, 2.0)]
    assert first not in others


def test_lengths_are_those_of_the_ids() -> None:
    rows = TrainingRows(ids=[[1, 2], []], targets=np.zeros(2), weights=np.ones(2))
    assert rows.lengths.tolist() == [2, 0]
    assert len(rows) == 2
