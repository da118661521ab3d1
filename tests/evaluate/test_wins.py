import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.evaluate.names import AUROC, BRIER, ECE, LOG_LOSS
from routecast.evaluate.wins import (
    EXACT,
    Contender,
    count_blocks,
    measure_routing,
    measure_wins,
    resampled,
)
from routecast.types import FloatArray

SCORES = np.array([0.1, 0.4, 0.4, 0.6, 0.9, 0.3])
WINS = np.array([0.0, 1.0, 0.5, 0.0, 1.0, 0.25])


@pytest.fixture
def wins() -> np.typing.NDArray[np.float64]:
    return np.random.default_rng(1).choice([0.0, 0.5, 1.0], 300)


def test_a_perfect_order_beats_a_blind_one(wins: np.typing.NDArray[np.float64]) -> None:
    blind = np.random.default_rng(2).random(300)
    found = measure_wins(
        [Contender(name="good", scores=wins), Contender(name="blind", scores=blind)],
        wins,
        clusters=np.arange(300),
        seed=0,
    )
    assert (found.n_labels, found.n_clusters) == (300, 300)
    good, difference = found.figures["good"]["auroc"], found.differences["auroc", "blind"]
    assert good.low <= good.value <= good.high
    assert difference.low > 0
    assert difference.value == pytest.approx(good.value - found.figures["blind"]["auroc"].value)


def test_an_order_has_no_log_loss_and_a_constant_no_order(
    wins: np.typing.NDArray[np.float64],
) -> None:
    found = measure_wins(
        [
            Contender(name="order", scores=wins),
            Contender(name="rate", scores=np.full(300, 0.5), is_probability=True, is_constant=True),
        ],
        wins,
        clusters=np.arange(300),
        seed=0,
    )
    assert set(found.figures["order"]) == {"auroc"}
    assert set(found.figures["rate"]) == {"log_loss", "brier", "ece"}
    assert found.differences == {}


def test_log_loss_of_a_coin_is_the_logarithm_of_two() -> None:
    labels = np.array([0.0, 1.0, 1.0])
    coin = Contender(name="coin", scores=np.full(3, 0.5), is_probability=True, is_constant=True)
    figure = measure_wins([coin], labels, clusters=np.arange(3), seed=0).figures["coin"]["log_loss"]
    assert (figure.value, figure.low, figure.high) == pytest.approx((np.log(2),) * 3)


def test_fewer_clusters_give_wider_intervals(wins: np.typing.NDArray[np.float64]) -> None:
    scores = wins + np.random.default_rng(3).normal(size=300)
    order = np.argsort(wins, kind="stable")
    widths = []
    for clusters in (np.arange(300), np.arange(300) // 30):
        one = Contender(name="one", scores=scores[order])
        figure = measure_wins([one], wins[order], clusters=clusters, seed=0).figures["one"]["auroc"]
        widths.append(figure.high - figure.low)
    assert widths[1] > widths[0]


def test_routing_figures_by_hand() -> None:
    # Two prompts: strong helps on the first only. Sent first, half the calls recover everything:
    # PGR is 0, 1, 1 at shares 0, .5, 1, its area .75. CPT(50%) is a quarter of the calls.
    found = measure_routing(
        [Contender(name="oracle", scores=np.array([1.0, 0.0]))],
        weak_quality=np.array([0.0, 1.0]),
        strong_quality=np.array([1.0, 1.0]),
        clusters=np.arange(2),
        seed=0,
    ).figures["oracle"]
    assert found["apgr"].value == pytest.approx(0.75)
    assert found["cpt_50"].value == pytest.approx(0.25)
    assert found["cpt_80"].value == pytest.approx(0.4)


def test_sides_that_tie_have_no_figures() -> None:
    quality = np.array([0.0, 1.0])
    found = measure_routing(
        [Contender(name="any", scores=np.array([1.0, 0.0]))],
        weak_quality=quality,
        strong_quality=quality,
        clusters=np.arange(2),
        seed=0,
    )
    assert np.isnan(found.figures["any"]["apgr"].value)


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
