import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.stats import ridge
from routecast.stats.ridge import RidgeFit, Variants, fit_ridge
from routecast.types import FloatArray, IntArray


def problem(n_rows: int, *, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(n_rows, 4))
    targets = 0.3 + features @ [0.5, -0.2, 0.0, 0.1] + generator.normal(size=n_rows)
    return features, targets, generator.uniform(0.5, 3.0, size=n_rows)


def alone(n_rows: int) -> IntArray:
    return np.arange(n_rows)


@pytest.fixture
def one_ratio(monkeypatch: pytest.MonkeyPatch) -> float:
    """Leave one ratio of variances to average over, so that a textbook has the answer."""
    monkeypatch.setattr(ridge, "SIGNAL_RATIOS", np.array([0.25]))
    monkeypatch.setattr(ridge, "LOG_PRIOR", np.array([0.0]))
    return 0.25


def slow_ridge(
    features: FloatArray, targets: FloatArray, weights: FloatArray, ratio: float
) -> FloatArray:
    """Solve the normal equations; the last coefficient is the intercept, which costs nothing."""
    rows = np.column_stack([features, np.ones(len(targets))])
    weights = weights / weights.mean()
    penalty = np.diag([1.0 / ratio] * features.shape[1] + [0.0])
    normal = (rows.T * weights) @ rows + penalty
    return np.asarray(np.linalg.solve(normal, (rows.T * weights) @ targets), dtype=np.float64)


def test_a_line_through_three_points_worked_by_hand(one_ratio: float) -> None:
    # x = -1, 0, 1 and y = 0, 1, 5: the slope is x'y / (x'x + 1 / ratio) = 5 / (2 + 4) = 5/6, and
    # as the x add up to 0, the intercept is the mean, 2.
    fit = fit_ridge(
        np.array([[-1.0], [0.0], [1.0]]),
        np.array([0.0, 1.0, 5.0]),
        weights=np.ones(3),
        groups=alone(3),
    )
    assert fit.coefficients == pytest.approx([5 / 6])
    assert fit.intercept == pytest.approx(2.0)
    assert fit.signal_share == pytest.approx(0.2)  # 0.25 / (1 + 0.25)
    # Without the first point, x = 0, 1 about their mean are -1/2, 1/2 with y = -2, 2 about theirs:
    # slope 2 / (1/2 + 4) = 4/9, so at x = -1: 3 + (-1.5) 4/9 = 7/3. Without the second:
    # 5/6 at mean 2.5, x = 0 gives 2.5. Without the third: slope (1/2) / (1/2 + 4) = 1/9, so at
    # x = 1: 1/2 + 1.5 / 9 = 2/3.
    assert fit.held_out == pytest.approx([7 / 3, 2.5, 2 / 3])


def test_it_solves_the_weighted_normal_equations(one_ratio: float) -> None:
    features, targets, weights = problem(30)
    fit = fit_ridge(features, targets, weights=weights, groups=alone(30))
    slow = slow_ridge(features, targets, weights, one_ratio)
    assert [*fit.coefficients, fit.intercept] == pytest.approx(slow)


def test_held_out_predictions_are_those_of_refits_without_the_group(one_ratio: float) -> None:
    features, targets, _ = problem(25)
    weights = np.ones(25)
    groups = np.arange(25) // 3  # eight of three and one of one
    fit = fit_ridge(features, targets, weights=weights, groups=groups)
    for group in range(9):
        kept = groups != group
        slow = slow_ridge(features[kept], targets[kept], weights[kept], one_ratio)
        assert fit.held_out[~kept] == pytest.approx(features[~kept] @ slow[:-1] + slow[-1])


@pytest.mark.parametrize("n_folds", [2, 10])  # folds of 15 and of 3 rows, with 4 features
def test_predictions_by_fold_are_those_of_refits_without_the_fold(
    one_ratio: float, n_folds: int
) -> None:
    features, targets, _ = problem(30)
    weights, folds = np.ones(30), np.arange(30) % n_folds
    fit = fit_ridge(features, targets, weights=weights, groups=alone(30), folds=folds)
    assert fit.by_fold is not None
    for fold in range(n_folds):
        kept = folds != fold
        slow = slow_ridge(features[kept], targets[kept], weights[kept], one_ratio)
        assert fit.by_fold[~kept] == pytest.approx(features[~kept] @ slow[:-1] + slow[-1])


def test_other_forms_of_rows_are_predicted_by_refits_without_the_group_and_the_fold(
    one_ratio: float,
) -> None:
    features, targets, _ = problem(25)
    weights, groups, folds = np.ones(25), np.arange(25) // 3, np.arange(25) // 3 % 4
    rows = np.array([24, 3, 4, 4, 0, 17])  # a row alone, rows of groups, one of them twice
    forms = np.random.default_rng(1).normal(size=(6, 4))
    fit = fit_ridge(
        features,
        targets,
        weights=weights,
        groups=groups,
        folds=folds,
        variants=Variants(features=forms, rows=rows),
    )
    plain = fit_ridge(features, targets, weights=weights, groups=groups, folds=folds)
    assert np.array_equal(fit.held_out, plain.held_out)
    assert fit.variants_by_fold is not None
    for found, labels in ((fit.variants_held_out, groups), (fit.variants_by_fold, folds)):
        for one, row in enumerate(rows.tolist()):
            kept = labels != labels[row]
            slow = slow_ridge(features[kept], targets[kept], weights[kept], one_ratio)
            assert found[one] == pytest.approx(forms[one] @ slow[:-1] + slow[-1])


def test_a_weight_of_two_is_a_row_twice(one_ratio: float) -> None:
    features, targets, _ = problem(12)
    weights = np.array([2.0] + [1.0] * 11)
    rows = np.array([0, *range(12)])
    once = fit_ridge(features, targets, weights=weights, groups=alone(12))
    slow = slow_ridge(features[rows], targets[rows], np.ones(13), 0.25 * 12 / 13)
    # Only ratios of weights matter: the mean weight 13/12 is the noise's unit.
    assert [*once.coefficients, once.intercept] == pytest.approx(slow)


def test_evidence_is_the_density_of_the_targets() -> None:
    # Integrating the intercept out leaves the n - 1 contrasts of the targets, C y, normal with
    # variance s^2 C M C' and M = t X X' + 1; integrating s out with density 1/s leaves
    # |C M C'|^(-1/2) (y'C'(C M C')^-1 C y)^(-(n - 1) / 2), up to a constant.
    features, targets, _ = problem(15)
    contrasts = np.linalg.svd(np.ones((1, 15)))[2][1:]

    def slow(ratio: float) -> float:
        spread = contrasts @ (ratio * features @ features.T + np.eye(15)) @ contrasts.T
        squares = contrasts @ targets @ np.linalg.solve(spread, contrasts @ targets)
        return float(-0.5 * np.linalg.slogdet(spread)[1] - 7.0 * np.log(squares))

    lengths, directions = np.linalg.eigh(features.T @ features)
    rotated = ridge._Rotated.of(features @ directions, lengths, np.ones(15), targets)
    ratios = [0.01, 0.1, 1.0]
    fast = [rotated.log_evidence(ratio) for ratio in ratios]
    expected = [slow(ratio) for ratio in ratios]
    assert np.diff(fast) == pytest.approx(np.diff(expected))


@given(st.integers(3, 30), st.integers(0, 100), st.floats(-5, 5), st.floats(0.1, 10))
def test_shifting_and_stretching_the_targets_shifts_and_stretches_the_fit(
    n_rows: int, seed: int, shift: float, stretch: float
) -> None:
    features, targets, weights = problem(n_rows, seed=seed)
    fits: list[RidgeFit] = [
        fit_ridge(features, y, weights=weights, groups=alone(n_rows))
        for y in (targets, shift + stretch * targets)
    ]
    assert fits[1].coefficients == pytest.approx(stretch * fits[0].coefficients, abs=1e-6)
    assert fits[1].held_out == pytest.approx(shift + stretch * fits[0].held_out, abs=1e-6)


def test_targets_without_spread_teach_their_value_only() -> None:
    features, _, weights = problem(8)
    fit = fit_ridge(features, np.full(8, -0.5), weights=weights, groups=alone(8))
    assert fit.coefficients.tolist() == [0.0] * 4
    assert (fit.intercept, fit.signal_share) == (-0.5, 0.0)
    assert fit.held_out.tolist() == [-0.5] * 8


def test_more_signal_in_the_labels_gives_a_larger_signal_share() -> None:
    generator = np.random.default_rng(5)
    features = generator.normal(size=(300, 10)) / 10**0.5
    signal = features @ generator.normal(size=10)
    noise = generator.normal(size=300)
    shares = [
        fit_ridge(features, signal + level * noise, weights=np.ones(300), groups=alone(300))
        for level in (1.0, 4.0, 100.0)
    ]
    found = [fit.signal_share for fit in shares]
    assert found[0] > found[1] > found[2]
