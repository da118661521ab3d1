import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.train.resampled import AUROC, BRIER, ECE, EXACT, LOG_LOSS, count_blocks, resampled
from routecast.types import FloatArray

SCORES = np.array([0.1, 0.4, 0.4, 0.6, 0.9, 0.3])
WINS = np.array([0.0, 1.0, 0.5, 0.0, 1.0, 0.25])


@pytest.mark.parametrize("metric", [AUROC, LOG_LOSS, BRIER])
@given(counts=st.lists(st.integers(0, 4), min_size=6, max_size=6))
def test_a_resample_is_the_sample_with_each_label_repeated(metric: str, counts: list[int]) -> None:
    repeated = np.repeat(np.arange(6), counts)
    if not counts or not sum(counts):
        return
    value = resampled(metric, SCORES, WINS)(np.array([counts], dtype=np.float64))[0]
    wanted = EXACT[metric](SCORES[repeated], WINS[repeated])
    assert value == pytest.approx(wanted, nan_ok=True)


def test_calibration_error_of_the_sample_itself() -> None:
    ones = np.ones((1, 6))
    assert resampled(ECE, SCORES, WINS)(ones)[0] == pytest.approx(EXACT[ECE](SCORES, WINS))


def test_calibration_error_by_hand() -> None:
    # Six values and 15 bins: each value but the pair at .4 has its own bin. Counts 1, 0, 2, 0, 0, 0
    # leave |.1 - 0| + 2 |.4 - .5| = .3 over three labels.
    counts = np.array([[1.0, 0.0, 2.0, 0.0, 0.0, 0.0]])
    assert resampled(ECE, SCORES, WINS)(counts)[0] == pytest.approx(0.1)


def test_auroc_without_losses_is_undefined() -> None:
    statistic = resampled(AUROC, SCORES, np.ones(6))
    assert np.isnan(statistic(np.ones((2, 6)))).all()


def test_labels_of_one_cluster_occur_together() -> None:
    clusters = np.array([0, 0, 1, 2, 2, 2])
    blocks = list(count_blocks(clusters, n_resamples=50, seed=1))
    counts: FloatArray = np.concatenate(blocks)
    assert counts.shape == (50, 6)
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 3] == counts[:, 5]).all()
    assert (counts[:, [0, 2, 3]].sum(axis=1) == 3).all()
