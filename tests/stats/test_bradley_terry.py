import math

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from routecast.errors import DataError
from routecast.stats.bradley_terry import (
    count_wins,
    elo_ratings,
    fit_strengths,
    rests_on_prior,
    standard_errors,
    strength_covariance,
)
from routecast.types import FloatArray

WHOLE_COUNTS = st.integers(0, 30).map(float)
WINS = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, n), elements=WHOLE_COUNTS))


def random_wins(seed: int, n: int, *, n_comparisons: int) -> FloatArray:
    """Wins among contestants of random strength, as whole comparisons."""
    generator = np.random.default_rng(seed)
    strengths = generator.normal(size=n)
    first = generator.integers(0, n, n_comparisons)
    second = (first + generator.integers(1, n, n_comparisons)) % n
    p = 1 / (1 + np.exp(strengths[second] - strengths[first]))
    outcomes = (generator.uniform(size=n_comparisons) < p).astype(float)
    return count_wins(first, second, outcomes, n_contestants=n)


def as_pairs(wins: FloatArray) -> list[tuple[int, int]]:
    """Unroll whole counts into (winner, loser), as choix takes them."""
    n = len(wins)
    return [(i, j) for i in range(n) for j in range(n) for _ in range(int(wins[i, j]))]


def fit_by_mm(wins: FloatArray) -> FloatArray:
    """Hunter's (2004) minorisation-maximisation, one contestant at a time, with no prior."""
    n = len(wins)
    worth = [1.0] * n
    for _ in range(20_000):
        before = list(worth)
        for i in range(n):
            met = sum((wins[i, j] + wins[j, i]) / (worth[i] + worth[j]) for j in range(n) if j != i)
            worth[i] = sum(wins[i, j] for j in range(n) if j != i) / met
        scale = math.exp(sum(math.log(w) for w in worth) / n)
        worth = [w / scale for w in worth]
        if max(abs(w / b - 1) for w, b in zip(worth, before, strict=True)) < 1e-13:
            return np.log(worth)
    raise AssertionError("the slow oracle did not converge")


def test_three_wins_against_one_are_log_odds_of_log_three() -> None:
    # The likelihood p^3 (1 - p) is highest at p = 3/4, whose odds are 3. Centred: +-log(3) / 2.
    wins = np.array([[0.0, 3.0], [1.0, 0.0]])
    assert fit_strengths(wins) == pytest.approx([math.log(3) / 2, -math.log(3) / 2], abs=1e-6)


def test_standard_error_of_two_contestants_follows_the_binomial() -> None:
    # Information on the difference is n p (1 - p) = 4 * 3/4 * 1/4 = 3/4, so its variance is 4/3.
    # Each strength is half the difference away from the mean: variance 1/4 * 4/3 = 1/3.
    wins = np.array([[0.0, 3.0], [1.0, 0.0]])
    strengths = fit_strengths(wins)
    assert standard_errors(wins, strengths) == pytest.approx([math.sqrt(1 / 3)] * 2, abs=1e-6)


def test_baseball_of_1987_comes_out_as_published() -> None:
    # American League, eastern division; Agresti, Categorical Data Analysis, section 10.6. Estimates
    # and standard errors against Baltimore as in Turner and Firth (2012), BradleyTerry2.
    wins = np.array(
        [
            [0, 7, 9, 7, 7, 9, 11],  # Milwaukee
            [6, 0, 7, 5, 11, 9, 9],  # Detroit
            [4, 6, 0, 7, 7, 8, 12],  # Toronto
            [6, 8, 6, 0, 6, 7, 10],  # New York
            [6, 2, 6, 7, 0, 7, 12],  # Boston
            [4, 4, 5, 6, 6, 0, 6],  # Cleveland
            [2, 4, 1, 3, 1, 7, 0],  # Baltimore
        ],
        dtype=float,
    )
    strengths = fit_strengths(wins)
    covariance = strength_covariance(wins, strengths)
    errors = np.sqrt(np.diag(covariance) + covariance[6, 6] - 2 * covariance[6])
    published = [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0.0]
    assert strengths - strengths[6] == pytest.approx(published, abs=5e-5)
    assert errors[:6] == pytest.approx([0.3433, 0.3396, 0.3367, 0.3359, 0.3339, 0.3319], abs=5e-5)


@pytest.mark.parametrize("seed", range(5))
def test_fit_agrees_with_choix_on_random_problems(seed: int) -> None:
    wins = random_wins(seed, 8, n_comparisons=400)
    theirs = choix.ilsr_pairwise(8, as_pairs(wins), tol=1e-12)
    assert fit_strengths(wins) == pytest.approx(theirs - theirs.mean(), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_prior_is_that_of_choix_where_strengths_would_be_infinite(seed: int) -> None:
    # choix adds alpha * x^2 to the loss, we add prior * x^2 / 2.
    wins = random_wins(seed, 7, n_comparisons=12)
    assert rests_on_prior(wins).any()
    theirs = choix.opt_pairwise(7, as_pairs(wins), alpha=0.005, tol=1e-12)
    assert fit_strengths(wins, prior=0.01) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_fit_agrees_with_a_slow_loop_on_weighted_wins(seed: int) -> None:
    wins = np.random.default_rng(seed).gamma(0.5, 20, size=(6, 6)) + 0.1
    assert fit_strengths(wins) == pytest.approx(fit_by_mm(wins), abs=1e-6)


@settings(deadline=None)  # other work may share the machine
@given(WINS, st.floats(1e-3, 1.0))
def test_strengths_minimise_the_loss_that_is_stated(wins: FloatArray, prior: float) -> None:
    def loss(x: FloatArray) -> float:
        n = len(x)
        fit = sum(wins[i, j] * np.logaddexp(0, x[j] - x[i]) for i in range(n) for j in range(n))
        return float(fit - np.trace(wins) * math.log(2) + prior * x @ x / 2)

    strengths = fit_strengths(wins, prior=prior)
    slow = minimize(loss, np.zeros(len(wins)), method="BFGS")
    assert loss(strengths) <= loss(slow.x) + 1e-9 * max(1.0, loss(slow.x))


@settings(deadline=None)  # other work may share the machine
@given(WINS, st.randoms(use_true_random=False))
def test_renaming_contestants_renames_their_strengths(wins: FloatArray, random: object) -> None:
    order = np.random.default_rng(random.getrandbits(32)).permutation(len(wins))  # type: ignore[attr-defined]
    renamed = fit_strengths(wins[np.ix_(order, order)], prior=0.01)
    assert renamed == pytest.approx(fit_strengths(wins, prior=0.01)[order], abs=1e-9)


@settings(deadline=None)  # other work may share the machine
@given(WINS)
def test_strengths_sum_to_zero_and_turn_round_with_the_outcomes(wins: FloatArray) -> None:
    strengths = fit_strengths(wins)
    assert strengths.sum() == pytest.approx(0, abs=1e-9)
    assert fit_strengths(wins.T) == pytest.approx(-strengths, abs=1e-5)


@settings(deadline=None)  # other work may share the machine
@given(WINS)
def test_where_no_strength_is_infinite_expected_wins_equal_wins(wins: FloatArray) -> None:
    if rests_on_prior(wins).any():
        return
    strengths = fit_strengths(wins)
    p = 1 / (1 + np.exp(strengths - strengths[:, None]))
    met = wins + wins.T - np.diag(2 * np.diag(wins))
    n_expected = (met * p).sum(axis=1)
    assert n_expected == pytest.approx(wins.sum(axis=1) - np.diag(wins), abs=1e-4)


def test_a_chain_on_which_whole_newton_steps_run_away_is_solved() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1], wins[0, 2], wins[1, 3], wins[2, 0], wins[3, 2] = 6989, 230, 358, 1, 2
    strengths = fit_strengths(wins)
    p = 1 / (1 + np.exp(strengths - strengths[:, None]))
    n_expected = ((wins + wins.T) * p).sum(axis=1)
    assert n_expected == pytest.approx(wins.sum(axis=1), abs=1e-4)


def test_a_stack_of_problems_is_solved_like_each_alone() -> None:
    stack = np.random.default_rng(0).gamma(1, 10, size=(2, 3, 5, 5))
    strengths = fit_strengths(stack)
    errors = standard_errors(stack, strengths)
    assert strengths.shape == errors.shape == (2, 3, 5)
    for index in np.ndindex(2, 3):
        alone = fit_strengths(stack[index])
        assert strengths[index] == pytest.approx(alone, abs=1e-9)
        assert errors[index] == pytest.approx(standard_errors(stack[index], alone), abs=1e-9)


def test_covariance_is_the_inverse_of_the_curvature_by_finite_differences() -> None:
    wins = random_wins(1, 5, n_comparisons=200)
    strengths = fit_strengths(wins)

    def gradient(x: FloatArray) -> FloatArray:
        p = 1 / (1 + np.exp(x - x[:, None]))
        return np.asarray((wins - (wins + wins.T) * p).sum(axis=1))

    step = 1e-5
    curvature = np.array(
        [
            (gradient(strengths - step * e) - gradient(strengths + step * e)) / (2 * step)
            for e in np.eye(5)
        ]
    )
    assert strength_covariance(wins, strengths) == pytest.approx(
        np.linalg.pinv(curvature, rcond=1e-6), rel=1e-4
    )


def test_ties_and_weights_add_up_to_wins_and_self_comparisons_are_left_out() -> None:
    first, second = np.array([0, 1, 0, 2]), np.array([1, 0, 1, 2])
    outcomes, weights = np.array([1.0, 1.0, 0.5, 1.0]), np.array([2.0, 3.0, 4.0, 9.0])
    wins = count_wins(first, second, outcomes, n_contestants=3, weights=weights)
    # 0 over 1: 2 from the first row, half of 4 from the tie. 1 over 0: 3, and the other half.
    assert wins.tolist() == [[0, 4, 0], [5, 0, 0], [0, 0, 0]]


def test_an_undefeated_contestant_is_finite_first_and_uncertain() -> None:
    wins = np.array([[0.0, 5.0, 5.0], [0.0, 0.0, 3.0], [0.0, 3.0, 0.0]])
    strengths = fit_strengths(wins)
    errors = standard_errors(wins, strengths)
    assert strengths[0] > 5
    assert strengths[1:] == pytest.approx([strengths[1]] * 2)
    assert errors[0] > 100
    assert rests_on_prior(wins).tolist() == [True, False, False]


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_parts_that_never_met_are_each_centred(scale: float) -> None:
    wins = np.zeros((5, 5))
    wins[0, 1], wins[1, 0] = 3 * scale, scale
    wins[2, 3] = wins[3, 2] = scale
    # log(3) / 2 as for two alone; the pair of equals at 0, and the one who never played too.
    expected = [math.log(3) / 2, -math.log(3) / 2, 0, 0, 0]
    assert fit_strengths(wins) == pytest.approx(expected, abs=1e-5)
    assert rests_on_prior(wins).tolist() == [False, False, True, True, True]


def test_a_chain_of_wins_that_closes_bounds_all_of_its_members() -> None:
    cycle = np.zeros((4, 4))
    cycle[0, 1] = cycle[1, 2] = cycle[2, 3] = 1
    assert rests_on_prior(cycle).all()
    cycle[3, 0] = 1
    assert not rests_on_prior(cycle).any()
    assert not rests_on_prior(np.zeros((1, 1))).any()


def test_elo_ratings_put_odds_of_ten_at_400_points() -> None:
    assert elo_ratings(np.array([0.0, math.log(10)])) == pytest.approx([1000, 1400])


def test_not_converging_is_an_error() -> None:
    wins = np.array([[0.0, 1000.0], [1.0, 0.0]])
    with pytest.raises(DataError, match="did not converge in 2 Newton steps"):
        fit_strengths(wins, max_steps=2)
    unlinked = np.diag([1e12, 0.0, 1e12], k=1) + np.diag([1e12, 0.0, 2e12], k=-1)
    with pytest.raises(DataError, match="divide the weights"):
        fit_strengths(unlinked, prior=1e-9)


@pytest.mark.parametrize(
    ("wins", "prior", "message"),
    [
        (np.zeros((2, 3)), 1e-6, "square"),
        (np.zeros((0, 0)), 1e-6, "square"),
        (np.array([[0.0, -1.0], [0.0, 0.0]]), 1e-6, "not negative"),
        (np.array([[0.0, np.nan], [0.0, 0.0]]), 1e-6, "finite"),
        (np.zeros((2, 2)), 0.0, "prior 0.0 must be"),
    ],
)
def test_unusable_counts_are_refused(wins: FloatArray, prior: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_strengths(wins, prior=prior)


def test_the_start_decides_nothing_but_the_way() -> None:
    wins = random_wins(3, 5, n_comparisons=200)
    expected = fit_strengths(wins)
    for start in (expected, np.array([3.0, -1.0, 0.0, 2.0, 5.0])):
        assert fit_strengths(wins, start=start) == pytest.approx(expected, abs=1e-10)
    assert fit_strengths(wins, start=expected, max_steps=2) == pytest.approx(expected, abs=1e-10)


def test_a_start_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="start must be finite"):
        fit_strengths(np.ones((2, 2)), start=np.array([0.0, np.nan]))
