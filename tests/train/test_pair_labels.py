from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.preferences import PreferenceArrays, merge_preferences
from routecast.train.pair_labels import (
    PairLabels,
    PromptLabels,
    join_labels,
    labels_between_sides,
    labels_of,
)
from routecast.train.registry import Lesson
from routecast.train.sides import Sides
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes

Battle = tuple[int, int, int, float, float]  # prompt, model a, model b, outcome, weight


def lesson_of(battles: list[Battle], *, strong: tuple[str, ...] = ("big", "large")) -> Lesson:
    columns = np.array(battles, dtype=np.float64).reshape(-1, 5).T
    comparisons = PreferenceArrays(
        prompts=("p0", "p1", "p2", "p3"),
        models=("big", "small", "large", "other"),
        prompt_index=columns[0].astype(np.int32),
        model_a_index=columns[1].astype(np.int32),
        model_b_index=columns[2].astype(np.int32),
        outcome=columns[3].astype(np.float32),
        weight=columns[4].astype(np.float32),
    )
    return Lesson(
        prompts=comparisons.prompts,
        embeddings=np.zeros((4, 2), dtype=np.float32),
        training=comparisons,
        validation=comparisons.take(np.arange(0)),
        strong=strong,
        weak=("small",),
        seed=0,
        groups=np.arange(4),
    )


def by_prompt(battles: list[Battle]) -> PromptLabels:
    lesson = lesson_of(battles)
    return labels_between_sides(lesson, lesson.training)


def test_labels_are_weighted_means_over_a_prompts_battles_between_the_sides() -> None:
    labels = by_prompt(
        [
            (2, 0, 1, 1.0, 3.0),  # big beats small, weight 3
            (2, 1, 2, 1.0, 1.0),  # small beats large, weight 1: wins (3 x 1 + 1 x 0) / 4
            (0, 1, 0, 0.5, 1.0),  # a tie counts half
            (1, 0, 2, 1.0, 1.0),  # both are strong: says nothing
            (3, 0, 3, 1.0, 1.0),  # other is on no side
        ]
    )
    assert labels.rows.tolist() == [0, 2]
    assert labels.wins.tolist() == [0.5, 0.75]
    assert labels.weights.tolist() == [1.0, 4.0]
    assert labels.gaps.tolist() == [0.0, 0.5]


def test_sides_that_never_met_have_no_labels() -> None:
    labels = by_prompt([(1, 0, 2, 1.0, 1.0)])
    assert len(labels) == 0
    assert np.isnan(list(labels.balance().values())).all()


def test_the_balance_is_by_weight() -> None:
    labels = by_prompt([(0, 0, 1, 1.0, 2.0), (1, 0, 1, 0.5, 1.0), (2, 0, 1, 0.2, 1.0)])
    assert labels.balance() == {"strong": 0.5, "tie": 0.25, "weak": 0.25}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from([(0, 1), (1, 0), (1, 2), (0, 2), (3, 1)]),
            st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.5, 1.0, 2.0]),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_labels_agree_with_a_slow_loop(
    rows: list[tuple[int, tuple[int, int], float, float]],
) -> None:
    battles = [(prompt, a, b, outcome, weight) for prompt, (a, b), outcome, weight in rows]
    labels = by_prompt(battles)
    sums: dict[int, list[float]] = {}
    for prompt, a, b, outcome, weight in battles:
        if {a, b} in ({0, 1}, {1, 2}):
            wins = outcome if b == 1 else 1.0 - outcome
            total = sums.setdefault(prompt, [0.0, 0.0])
            total[0] += weight * wins
            total[1] += weight
    assert labels.rows.tolist() == sorted(sums)
    expected = [sums[prompt][0] / sums[prompt][1] for prompt in sorted(sums)]
    assert labels.wins.tolist() == pytest.approx(expected)


def battles(*rows: tuple[str, str, str, float]) -> LabelledSet:
    columns = ("prompt", "model_a", "model_b", "outcome")
    return set_of_comparisons(Comparisons(table=pl.DataFrame(rows, schema=columns, orient="row")))


def labels_for(one: LabelledSet, *, strong: str, weak: str) -> PairLabels:
    positions = {prompt: i for i, prompt in enumerate(one.preferences.prompts)}
    return labels_of(one, Sides(strong=tuple(strong), weak=tuple(weak)), positions)


def test_a_battle_counts_for_the_strong_side_whichever_place_it_has() -> None:
    one = battles(("p", "s", "w", 1.0), ("q", "w", "s", 0.25), ("r", "s", "x", 1.0))
    labels = labels_for(one, strong="s", weak="w")
    assert labels.wins.tolist() == [1.0, 0.75]
    assert [one.preferences.prompts[i] for i in labels.prompt_index] == ["p", "q"]
    assert np.isnan(labels.weak_quality).all()


def test_outcomes_of_several_models_are_the_mean_over_their_pairs() -> None:
    # Strong s (1) and t (0), weak w (0) and x (1): s beats w (1), ties x (.5), t ties w (.5) and
    # loses to x (0); their mean is .5. Qualities are means: strong .5, weak .5.
    table = pl.DataFrame(
        {"prompt": ["p"], "quality|s": [1], "quality|t": [0], "quality|w": [0], "quality|x": [1]}
    )
    labels = labels_for(set_of_outcomes(Outcomes(table=table)), strong="st", weak="wx")
    assert labels.wins.tolist() == [0.5]
    assert labels.strong_quality.tolist() == labels.weak_quality.tolist() == [0.5]


def test_soft_labels_keep_the_margin_on_the_scale_from_0_to_1() -> None:
    # Grades 9 and 3 of a scale from 1 to 10 are 8/9 and 2/9: the gap is 6/9, the label (1 + 6/9)/2.
    table = pl.DataFrame({"prompt": ["p"], "quality|s": [9.0], "quality|w": [3.0]})
    outcomes = Outcomes(table=table, quality_range=(1.0, 10.0))
    soft = labels_for(set_of_outcomes(outcomes, soft=True), strong="s", weak="w")
    hard = labels_for(set_of_outcomes(outcomes), strong="s", weak="w")
    assert soft.wins == pytest.approx([5 / 6])
    assert hard.wins.tolist() == [1.0]


def test_rows_where_a_side_is_unknown_have_no_label() -> None:
    table = pl.DataFrame(
        {
            "prompt": ["p", "q"],
            "quality|s": [1.0, 1.0],
            "quality|w": [None, 0.0],
            "quality|x": [0.0, 0.0],
        }
    )
    labels = labels_for(set_of_outcomes(Outcomes(table=table)), strong="s", weak="w")
    assert labels.prompt_index.tolist() == [1]


def test_a_set_that_knows_one_side_only_has_no_labels() -> None:
    table = pl.DataFrame({"prompt": ["p"], "quality|s": [1.0], "quality|x": [0.0]})
    assert len(labels_for(set_of_outcomes(Outcomes(table=table)), strong="s", weak="w")) == 0


def test_labels_of_several_sets_are_put_one_after_the_other() -> None:
    first = battles(("p", "s", "w", 1.0))
    second = set_of_outcomes(
        Outcomes(table=pl.DataFrame({"prompt": ["q"], "quality|s": [0.0], "quality|w": [1.0]}))
    )
    merged = merge_preferences([first.preferences, second.preferences])
    positions = {prompt: i for i, prompt in enumerate(merged.prompts)}
    sides = Sides(strong=("s",), weak=("w",))
    joined = join_labels([labels_of(one, sides, positions) for one in (first, second)])
    assert joined.wins.tolist() == [1.0, 0.0]
    assert joined.prompt_index.tolist() == [0, 1]
    assert joined.take(np.array([1])).wins.tolist() == [0.0]


def test_planted_outcomes_and_their_comparisons_say_the_same(
    planted_outcomes: Callable[..., Outcomes], planted_comparisons: Callable[..., Comparisons]
) -> None:
    sides = Sides(strong=("big",), weak=("small",))
    found = []
    for one in (set_of_outcomes(planted_outcomes(50)), set_of_comparisons(planted_comparisons(50))):
        positions = {prompt: i for i, prompt in enumerate(one.preferences.prompts)}
        found.append(labels_of(one, sides, positions).wins.tolist())
    assert found[0] == found[1]
