from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.preferences import PreferenceArrays, merge_preferences
from routecast.errors import ConfigError, DataError
from routecast.train.sides import (
    PairLabels,
    Sides,
    join_labels,
    labels_of,
    rate_tiers,
    resolve_sides,
)
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes


def battles(*rows: tuple[str, str, str, float]) -> LabelledSet:
    columns = ("prompt", "model_a", "model_b", "outcome")
    return set_of_comparisons(Comparisons(table=pl.DataFrame(rows, schema=columns, orient="row")))


def labels_for(one: LabelledSet, *, strong: str, weak: str) -> PairLabels:
    positions = {prompt: i for i, prompt in enumerate(one.preferences.prompts)}
    return labels_of(one, Sides(strong=tuple(strong), weak=tuple(weak)), positions)


def ladder(n_models: int) -> PreferenceArrays:
    """Every model beats the next one three times of four, so that their ratings fall in order."""
    rows = [
        (f"prompt {i} {k}", f"m{i:02}", f"m{i + 1:02}", float(k > 0))
        for i in range(n_models - 1)
        for k in range(4)
    ]
    return battles(*rows).preferences


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


def test_with_no_name_given_the_papers_tiers_stand_for_the_sides() -> None:
    sides = resolve_sides(ladder(10), strong=(), weak=())
    assert (sides.strong, sides.weak) == (("m00", "m01"), ("m02",))
    assert sides.tiers is not None
    assert sides.tiers["m09"] == 9


def test_tiers_and_models_may_be_mixed() -> None:
    sides = resolve_sides(ladder(10), strong=("tier:0", "m05"), weak=("m09",))
    assert sides.strong == ("m00", "m05")


def test_too_few_models_for_tiers_are_told_to_be_named() -> None:
    with pytest.raises(
        DataError,
        match=r"3 models of 3 different ratings are too few for 10 tiers.*'m00', 'm01', 'm02'",
    ):
        resolve_sides(ladder(3), strong=(), weak=())


def test_a_tier_for_each_rating_when_fewer_will_do() -> None:
    assert len(rate_tiers(ladder(3), at_most=True).tiers) == 3


@pytest.mark.parametrize(
    ("strong", "weak", "message"),
    [
        (("m0",), ("m01",), r"nearest names are .*m0.*--strong-as"),
        (("m00",), (), "--weak is missing"),
        ((), ("m00",), "--strong is missing"),
        (("m00",), ("m00", "m01"), "both strong and weak"),
        (("tier:10",), ("m01",), "'tier:0' .the strongest. to 'tier:9'"),
        (("tier:x",), ("m01",), "no number"),
    ],
)
def test_sides_that_cannot_be_are_refused(
    strong: tuple[str, ...], weak: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_sides(ladder(10), strong=strong, weak=weak)


def test_planted_outcomes_and_their_comparisons_say_the_same(
    planted_outcomes: Callable[..., Outcomes], planted_comparisons: Callable[..., Comparisons]
) -> None:
    sides = Sides(strong=("big",), weak=("small",))
    found = []
    for one in (set_of_outcomes(planted_outcomes(50)), set_of_comparisons(planted_comparisons(50))):
        positions = {prompt: i for i, prompt in enumerate(one.preferences.prompts)}
        found.append(labels_of(one, sides, positions).wins.tolist())
    assert found[0] == found[1]
