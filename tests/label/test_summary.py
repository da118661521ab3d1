"""The figures at the end of a run."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from routecast.label.asking import Answers
from routecast.label.judge import Failed, Judged
from routecast.label.summary import rank_correlation, summarise, wilson_interval
from routecast.label.verdict import PairVerdict, Preference


def judged(first: Preference, second: Preference, *, strong: str = "ss", weak: str = "w") -> Judged:
    verdict = PairVerdict(strong_first=first, weak_first=second)
    answers = Answers(strong=strong, weak=weak)
    return Judged(answers=answers, outcome=verdict.outcome, verdict=verdict)


@pytest.mark.parametrize(
    ("n_successes", "n_trials", "low", "high"),
    [  # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_the_published_one(
    n_successes: int, n_trials: int, low: float, high: float
) -> None:
    assert wilson_interval(n_successes, n_trials) == pytest.approx((low, high), abs=5e-5)


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=5000).flatmap(
    lambda n: st.tuples(st.integers(min_value=0, max_value=n), st.just(n))
))  # fmt: skip
def test_the_interval_is_scipy_s(counts: tuple[int, int]) -> None:
    oracle = stats.binomtest(*counts).proportion_ci(method="wilson")
    assert wilson_interval(*counts) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def test_an_interval_of_nothing_is_nan() -> None:
    assert all(math.isnan(end) for end in wilson_interval(0, 0))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(min_value=-50, max_value=50)),
        min_size=2,
        max_size=60,
    )
)
def test_the_rank_correlation_is_scipy_s(rows: list[tuple[float, int]]) -> None:
    left, right = np.array(rows, dtype=float).T
    if len(set(left)) == 1 or len(set(right)) == 1:
        assert math.isnan(rank_correlation(left, right))
    else:
        oracle = stats.spearmanr(left, right).statistic
        assert rank_correlation(left, right) == pytest.approx(oracle, abs=1e-9)


def test_the_rank_correlation_by_hand() -> None:
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4; centred -1.5, 0, 0, 1.5 and -1.5, -.5, .5, 1.5
    # 4.5 / sqrt(4.5 * 5) = 0.9487
    left, right = np.array([0.0, 0.5, 0.5, 1.0]), np.array([-9.0, 1.0, 2.0, 80.0])
    assert rank_correlation(left, right) == pytest.approx(4.5 / math.sqrt(22.5))


def test_a_run_is_counted_by_hand() -> None:
    summary = summarise(
        [
            judged("A", "B", strong="long", weak="s"),  # win, the longer answer by 3
            judged("B", "A", strong="s", weak="long"),  # loss, the shorter by 3
            judged("A", "A"),  # tie by disagreement, the first position; longer by 1
            judged("B", "B"),  # the second position
            judged("A", "tie"),  # disagreement that follows no position
            judged("tie", "tie"),
            Judged(answers=Answers(strong="x", weak="x"), outcome=0.5),
            Failed("late"),
            Failed("lost"),
            Failed("late"),
            None,
        ],
        pairwise=True,
    )
    assert (summary.n_prompts, summary.n_judged, summary.n_failed) == (11, 7, 3)
    assert summary.n_not_reached == 1
    assert (summary.n_wins, summary.n_ties, summary.n_losses) == (1, 5, 1)
    assert summary.share(summary.n_wins) == 1 / 7
    assert (summary.n_disagreements, summary.n_identical) == (3, 1)
    bias = summary.position_bias
    assert bias is not None
    assert (bias.n_pairs, bias.n_first, bias.n_second) == (6, 1, 1)
    assert bias.share == 2 / 6
    assert bias.interval == wilson_interval(2, 6)
    assert summary.failures == {"late": 2, "lost": 1}
    # outcomes 1, 0 and five ties: ranks 7, 1 and 4, centred 3, -3 and 0
    # lengths 3, -3, four times 1, and 0: ranks 7, 1, 4.5 and 2, centred 3, -3, 0.5 and -2
    expected = (3 * 3 + 3 * 3) / math.sqrt((9 + 9) * (9 + 9 + 4 * 0.25 + 4))
    assert summary.length_correlation == pytest.approx(expected)


def test_a_run_without_labels_has_no_shares() -> None:
    summary = summarise([Failed("late"), None], pairwise=True)
    assert math.isnan(summary.share(summary.n_wins))
    assert math.isnan(summary.length_correlation)
    assert summary.position_bias is not None
    assert math.isnan(summary.position_bias.share)


def test_grades_know_no_position() -> None:
    graded = Judged(answers=Answers(strong="a", weak="b"), outcome=1.0, grades=(9, 3))
    assert summarise([graded], pairwise=False).position_bias is None
