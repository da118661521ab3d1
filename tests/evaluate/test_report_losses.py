"""The prompts where routing lost most."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from routecast.evaluate.report_losses import counts_along, losses_of
from routecast.evaluate.report_series import cuts_of
from routecast.evaluate.study import RouterStudy, Study
from routecast.types import IntArray

ROWS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.4, 0.5, 0.9]), st.integers(0, 4), st.integers(0, 4)),
    min_size=1,
    max_size=25,
)


def study_of(weak: list[int], strong: list[int]) -> Study:
    return Study(
        benchmark="b",
        strong="s",
        weak="w",
        quality_range=(0.0, 4.0),
        prompts=("p",) * len(weak),
        groups=None,
        weak_quality=np.array(weak, dtype=np.float64),
        strong_quality=np.array(strong, dtype=np.float64),
        weak_cost_usd=None,
        strong_cost_usd=None,
        routers=(),
        differences=(),
        warnings=(),
    )


def test_the_prompts_that_lost_most_come_first() -> None:
    study = study_of(weak=[0, 0, 4, 1, 2], strong=[1, 3, 0, 0, 2])
    losses = losses_of(np.array([0.1, 0.2, 0.8, 0.9, 0.3]), study)
    # Strong is better by 1 on row 0, by 3 on row 1; weak by 4 on row 2, by 1 on row 3; row 4 ties.
    assert losses.missed.tolist() == [1, 0]
    assert losses.wasted.tolist() == [2, 3]
    # By falling score: row 3, 2, 4, 1, 0, so row 3 goes to the strong model first.
    assert losses.sent_from.tolist() == [5, 4, 2, 1, 3]


@given(ROWS, st.integers(1, 4))
def test_no_threshold_needs_a_prompt_that_is_not_listed(
    rows: list[tuple[float, int, int]], n_shown: int
) -> None:
    scores = np.array([row[0] for row in rows])
    study = study_of([row[1] for row in rows], [row[2] for row in rows])
    losses = losses_of(scores, study, n_shown=n_shown)
    gap = study.strong_quality - study.weak_quality
    router = RouterStudy(
        name="r", is_baseline=False, scores=scores, is_probability=True, metrics={}, band=None
    )
    cuts = cuts_of(router, study).n_strong
    n_missed, n_wasted = counts_along(losses, study, cuts)
    for cut, missed_count, wasted_count in zip(cuts, n_missed, n_wasted, strict=True):
        sent = losses.sent_from <= cut
        assert sent.sum() == cut
        missed, wasted = np.flatnonzero(~sent & (gap > 0)), np.flatnonzero(sent & (gap < 0))
        assert (missed_count, wasted_count) == (len(missed), len(wasted))
        worst = sorted(missed, key=lambda row: (-gap[row], scores[row], row))[:n_shown]
        assert visible(losses.missed, ~sent)[:n_shown] == [int(row) for row in worst]
        worst = sorted(wasted, key=lambda row: (gap[row], -scores[row], row))[:n_shown]
        assert visible(losses.wasted, sent)[:n_shown] == [int(row) for row in worst]


def visible(rows: IntArray, shown: "np.typing.NDArray[np.bool_]") -> list[int]:
    return [int(row) for row in rows if shown[row]]
