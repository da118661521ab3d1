"""Gold labels."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.outcomes import Outcomes
from routecast.errors import ConfigError, DataError
from routecast.label.gold import gold_labels

QUALITY = st.floats(0, 1).map(lambda q: round(q, 2)) | st.none()


def outcomes(**columns: object) -> Outcomes:
    return Outcomes(table=pl.DataFrame(columns, strict=False), quality_range=(0.0, 2.0))


GRADED = {
    "prompt": ["p", "q", "r", "s"],
    "quality|s": [2.0, 1.0, 0.5, None],
    "quality|w": [0.0, 1.0, 1.0, 1.0],
    "quality|o": [None, None, 2.0, None],
    "group": ["g", "g", None, "h"],
}


def test_the_better_wins_and_equal_ones_tie() -> None:
    labels = gold_labels(outcomes(**GRADED), strong="s", weak="w")
    assert labels.comparisons.table.to_dicts() == [
        {
            "prompt": prompt,
            "model_a": "s",
            "model_b": "w",
            "outcome": outcome,
            "weight": 1.0,
            "source": "gold",
            "group": group,
        }
        for prompt, outcome, group in (("p", 1.0, "g"), ("q", 0.5, "g"), ("r", 0.0, None))
    ]
    assert labels.n_unlabelled == 1  # s has no grade for the last prompt
    shares = (labels.win_share, labels.tie_share, labels.loss_share)
    assert shares == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_soft_labels_keep_the_margin_on_the_scale() -> None:
    labels = gold_labels(outcomes(**GRADED), strong="s", weak="w", soft=True)
    # Gaps on [0, 1]: 2/2 = 1, 0, (0.5 - 1)/2 = -0.25; (1 + gap)/2 = 1, 0.5, 0.375.
    assert labels.comparisons.outcome.tolist() == [1.0, 0.5, 0.375]


def test_all_pairs_are_compared_where_both_are_known() -> None:
    table = gold_labels(outcomes(**GRADED)).comparisons.table
    pairs = list(zip(table["model_a"], table["model_b"], table["prompt"], strict=True))
    assert pairs == [
        *(("s", "w", "p"), ("s", "w", "q"), ("s", "w", "r")),
        ("s", "o", "r"),
        ("w", "o", "r"),
    ]


def test_soft_labels_have_no_tail_of_single_precision() -> None:
    graded = outcomes(prompt=["p"], **{"quality|s": [1.4], "quality|w": [0.6]})
    # (1 + (1.4 - 0.6) / 2) / 2 = 0.7, which single precision holds as 0.69999999
    assert gold_labels(graded, soft=True).comparisons.outcome.tolist() == [0.7]


@given(st.lists(st.tuples(QUALITY, QUALITY), min_size=1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_labels_equal_a_slow_loop_and_are_complementary_when_the_models_swap(
    rows: list[tuple[float | None, float | None]], soft: bool
) -> None:
    graded = outcomes(
        prompt=[f"p{i}" for i in range(len(rows))],
        **{"quality|s": [s for s, _ in rows], "quality|w": [w for _, w in rows]},
    )
    expected = []
    for s, w in rows:
        if s is not None and w is not None:
            hard = 1.0 if s > w else 0.5 if s == w else 0.0
            expected.append((1 + (s - w) / 2) / 2 if soft else hard)
    if not expected:
        with pytest.raises(DataError, match="no row of outcomes has two known qualities"):
            gold_labels(graded, soft=soft)
        return
    labels = gold_labels(graded, strong="s", weak="w", soft=soft)
    np.testing.assert_allclose(labels.comparisons.outcome, expected, atol=1e-6)
    swapped = gold_labels(graded, strong="w", weak="s", soft=soft)
    np.testing.assert_allclose(swapped.comparisons.outcome, 1 - np.array(expected), atol=2e-6)
    assert labels.n_unlabelled == len(rows) - len(expected)


def test_one_model_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="name both --strong and --weak, or neither"):
        gold_labels(outcomes(**GRADED), strong="s")
    with pytest.raises(DataError, match="no model 'S'"):
        gold_labels(outcomes(**GRADED), strong="S", weak="w")
