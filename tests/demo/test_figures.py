import numpy as np
import pytest

from routecast.demo.figures import measure_curves, measure_figures
from routecast.demo.questions import AnswerTable
from routecast.types import FloatArray

# Four questions. Strong is right on the first three, weak on the third alone.
TABLE = AnswerTable(
    strong_quality=np.array([1.0, 1.0, 1.0, 0.0]),
    weak_quality=np.array([0.0, 0.0, 1.0, 0.0]),
    strong_cost_usd=np.array([4.0, 2.0, 2.0, 2.0]),
    weak_cost_usd=np.array([1.0, 0.0, 0.0, 0.0]),
)
N_CHARACTERS = np.array([10.0, 30.0, 5.0, 40.0])


def test_the_figures_of_four_questions_are_those_worked_by_hand() -> None:
    # Strong answers the first question alone: routed is right on the 1st and the 3rd, 2 of the
    # strong model's 3. It costs 4 of 10. Random at 1/4: 1/4 + 1/4 + 1 = 1.5 of 3. The longest
    # question is the 4th, which nobody gets right: 1 of 3, from the 3rd.
    figures = measure_figures(np.array([1.0, 0.0, 0.0, 0.0]), TABLE, N_CHARACTERS)
    assert figures.strong_share == 0.25
    assert figures.kept.value == pytest.approx(2 / 3)
    assert figures.saved.value == pytest.approx(0.6)
    assert figures.random_kept.value == pytest.approx(0.5)
    assert figures.length_kept.value == pytest.approx(1 / 3)
    assert figures.over_random.value == pytest.approx(2 / 3 - 0.5)
    assert figures.over_length.value == pytest.approx(1 / 3)


@pytest.mark.parametrize(("went", "kept", "saved"), [(1.0, 1.0, 0.0), (0.0, 1 / 3, 0.9)])
def test_all_calls_to_one_model_are_that_model(went: float, kept: float, saved: float) -> None:
    figures = measure_figures(np.full(4, went), TABLE, N_CHARACTERS)
    for figure in (figures.kept, figures.random_kept, figures.length_kept):
        assert figure.value == pytest.approx(kept)
    assert figures.saved.value == pytest.approx(saved)
    assert (figures.over_random.low, figures.over_random.high) == pytest.approx((0.0, 0.0))


def test_the_interval_of_kept_agrees_with_the_delta_method() -> None:
    rng = np.random.default_rng(0)
    n = 400
    strong = (rng.random(n) < 0.85).astype(float)
    weak = (rng.random(n) < 0.6).astype(float)
    went = (rng.random(n) < 0.4).astype(float)
    cost: FloatArray = np.ones(n)
    table = AnswerTable(
        strong_quality=strong, weak_quality=weak, strong_cost_usd=cost, weak_cost_usd=cost / 100
    )
    figure = measure_figures(went, table, np.arange(n, dtype=np.float64)).kept
    routed = np.where(went == 1.0, strong, weak)
    ratio = routed.mean() / strong.mean()
    error = float(np.std((routed - ratio * strong) / strong.mean(), ddof=1)) / np.sqrt(n)
    assert figure.value == pytest.approx(ratio)
    assert figure.low == pytest.approx(ratio - 1.96 * error, abs=0.01)
    assert figure.high == pytest.approx(ratio + 1.96 * error, abs=0.01)


def test_curves_run_from_all_weak_to_all_strong_and_the_oracle_is_above() -> None:
    scores = np.array([0.2, np.nan, 0.9, 0.4])
    curves = measure_curves(scores, TABLE, N_CHARACTERS)
    for curve in curves.values():
        assert (curve.calls.quality[0], curve.calls.quality[-1]) == (0.25, 0.75)
        assert (curve.cost_usd[0], curve.cost_usd[-1]) == (0.25, 2.5)
        assert (curve.calls.quality <= curves["oracle"].calls.quality + 1e-12).all()
    # Where the router abstains comes first, then scores fall: questions 2, 3, 4, 1.
    assert curves["router"].calls.quality.tolist() == [0.25, 0.5, 0.5, 0.5, 0.75]
    assert curves["random"].calls.quality == pytest.approx([0.25, 0.375, 0.5, 0.625, 0.75])
