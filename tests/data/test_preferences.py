"""Preferences as arrays, and gold labels."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.preferences import (
    PreferenceArrays,
    comparisons_from_preferences,
    gold_preferences,
    merge_preferences,
    preferences_from_comparisons,
)
from routecast.errors import DataError

QUALITIES = st.sampled_from([None, 0.0, 0.25, 0.5, 1.0])


def table(
    rows: Sequence[tuple[float | None, ...]], *, high: float = 1.0, prompts: list[str] | None = None
) -> Outcomes:
    names = prompts or [f"prompt {row}" for row in range(len(rows))]
    columns: dict[str, list[object]] = {"prompt": list(names)}
    for model, values in zip("abcd", zip(*rows, strict=True), strict=False):
        columns[f"quality|{model}"] = list(values)
    return Outcomes(table=pl.DataFrame(columns, strict=False), quality_range=(0.0, high))


def triples(preferences: PreferenceArrays) -> set[tuple[str, str, str, float]]:
    rows = zip(
        preferences.prompt_index,
        preferences.model_a_index,
        preferences.model_b_index,
        preferences.outcome,
        strict=True,
    )
    return {
        (preferences.prompts[p], preferences.models[a], preferences.models[b], float(outcome))
        for p, a, b, outcome in rows
    }


def test_the_better_model_wins_and_equal_ones_tie() -> None:
    gold = gold_preferences(table([(1.0, 0.0), (0.25, 0.5), (1.0, 1.0)]))
    np.testing.assert_array_equal(gold.outcome, [1.0, 0.0, 0.5])
    np.testing.assert_array_equal(gold.weight, [1.0, 1.0, 1.0])
    assert gold.prompt_index.dtype == np.int32
    assert gold.outcome.dtype == np.float32


def test_soft_labels_keep_the_margin_on_the_unit_scale() -> None:
    gold = gold_preferences(table([(4.0, 1.0), (0.0, 4.0)], high=4.0), soft=True)
    # (1 + (4 - 1) / 4) / 2 = 0.875, (1 + (0 - 4) / 4) / 2 = 0
    np.testing.assert_array_equal(gold.outcome, [0.875, 0.0])


def test_a_named_pair_is_compared_with_the_first_as_model_a() -> None:
    gold = gold_preferences(table([(1.0, 0.0, 0.5)]), models=["c", "b"])
    assert triples(gold) == {("prompt 0", "c", "b", 1.0)}


def test_a_prompt_that_occurs_twice_is_one_prompt_with_two_comparisons() -> None:
    gold = gold_preferences(table([(1.0, 0.0), (0.0, 1.0)], prompts=["same", "same"]))
    assert gold.prompts == ("same",)
    np.testing.assert_array_equal(gold.prompt_index, [0, 0])


@pytest.mark.parametrize("models", [["a"], ["a", "a"], []])
def test_fewer_than_two_models_are_refused(models: list[str]) -> None:
    with pytest.raises(DataError, match="two or more"):
        gold_preferences(table([(1.0, 0.0)]), models=models)


@settings(deadline=None)  # other work may share the machine
@given(st.lists(st.tuples(QUALITIES, QUALITIES, QUALITIES, QUALITIES), min_size=1, max_size=8))
def test_gold_labels_equal_a_loop_over_prompts_and_pairs(
    rows: list[tuple[float | None, ...]],
) -> None:
    expected = set()
    for row, qualities in enumerate(rows):
        for (one, x), (other, y) in combinations(zip("abcd", qualities, strict=True), 2):
            if x is not None and y is not None:
                outcome = 1.0 if x > y else 0.0 if x < y else 0.5
                expected.add((f"prompt {row}", one, other, outcome))
    gold = gold_preferences(table(rows))
    assert triples(gold) == expected
    assert len(gold) == len(expected)


def test_swapping_the_models_gives_the_complement() -> None:
    rows = [(1.0, 0.0), (0.25, 0.5), (1.0, 1.0)]
    for soft in (False, True):
        one = gold_preferences(table(rows), models=["a", "b"], soft=soft)
        other = gold_preferences(table(rows), models=["b", "a"], soft=soft)
        np.testing.assert_allclose(one.outcome + other.outcome, 1.0)


def test_comparisons_survive_the_way_through_arrays() -> None:
    columns = {
        "prompt": ["one", "two", "one"],
        "model_a": ["x", "y", "z"],
        "model_b": ["y", "z", "x"],
        "outcome": [1.0, 0.5, 0.25],
        "weight": [1.0, 2.0, 0.5],
    }
    arrays = preferences_from_comparisons(Comparisons(table=pl.DataFrame(columns)))
    assert arrays.prompts == ("one", "two")
    back = comparisons_from_preferences(arrays, source="test").table
    assert back.drop("source").to_dict(as_series=False) == columns
    assert back["source"].to_list() == ["test"] * 3


def test_comparisons_without_prompts_cannot_be_trained_on() -> None:
    columns = {"model_a": ["x"], "model_b": ["y"], "outcome": [1.0]}
    with pytest.raises(DataError, match="no column 'prompt'"):
        preferences_from_comparisons(Comparisons(table=pl.DataFrame(columns)))


def test_merging_joins_equal_prompts_and_equal_models() -> None:
    one = gold_preferences(table([(1.0, 0.0), (0.0, 1.0)], prompts=["p", "q"]))
    other = gold_preferences(table([(0.5, 0.5, 1.0)], prompts=["q"]), models=["c", "b"])
    merged = merge_preferences([one, other])
    assert merged.prompts == ("p", "q")
    assert merged.models == ("a", "b", "c")
    assert triples(merged) == triples(one) | triples(other)
    with pytest.raises(DataError, match="no preferences to merge"):
        merge_preferences([])


def test_taking_by_mask_and_by_position_agree() -> None:
    gold = gold_preferences(table([(1.0, 0.0), (0.25, 0.5), (1.0, 1.0)]))
    by_mask = gold.take(np.array([True, False, True]))
    by_position = gold.take(np.array([0, 2]))
    assert (
        triples(by_mask)
        == triples(by_position)
        == {
            ("prompt 0", "a", "b", 1.0),
            ("prompt 2", "a", "b", 0.5),
        }
    )
