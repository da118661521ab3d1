from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.errors import DataError
from routecast.train.sources import (
    MAX_CONVERSATION_PROMPTS,
    conversation_labels,
    set_of_comparisons,
    set_of_outcomes,
)


def test_each_prompt_of_outcomes_counts_once_however_many_pairs_answered_it() -> None:
    # Prompt p has three known models, so three pairs of weight 1/3; q has two, so one pair.
    table = pl.DataFrame(
        {
            "prompt": ["p", "q"],
            "quality|a": [1.0, 1.0],
            "quality|b": [0.0, 0.0],
            "quality|c": [0.0, None],
        }
    )
    one = set_of_outcomes(Outcomes(table=table))
    weight = np.bincount(one.preferences.prompt_index, one.preferences.weight)
    assert len(one.preferences) == 4
    assert weight == pytest.approx([1.0, 1.0])


def test_prompts_left_out_are_gone_from_comparisons_and_from_outcomes(
    planted_outcomes: Callable[..., Outcomes],
) -> None:
    one = set_of_outcomes(planted_outcomes(20))
    first = one.preferences.prompts[0]
    left = one.without(frozenset({first}))
    assert first not in left.preferences.prompts
    assert len(left.preferences.prompts) == 19
    assert left.outcomes is not None
    assert left.outcomes.prompts == [p for p in one.preferences.prompts if p != first]
    # Every comparison that is left still points at its own prompt.
    kept = one.preferences.prompt_index != 0
    before = [one.preferences.prompts[i] for i in one.preferences.prompt_index[kept]]
    assert [left.preferences.prompts[i] for i in left.preferences.prompt_index] == before


def test_nothing_left_out_is_the_same_set(planted_comparisons: Callable[..., Comparisons]) -> None:
    one = set_of_comparisons(planted_comparisons(5))
    assert one.without(frozenset()) is one


def test_outcomes_without_two_known_models_are_refused() -> None:
    table = pl.DataFrame({"prompt": ["p"], "quality|a": [1.0], "quality|b": [None]})
    with pytest.raises(DataError, match="known qualities of two of the models"):
        set_of_outcomes(Outcomes(table=table.cast({"quality|b": pl.Float64})))


def grouped(groups: list[str | None]) -> Comparisons:
    n_rows = len(groups)
    return Comparisons(
        table=pl.DataFrame(
            {
                "prompt": [f"prompt {i}" for i in range(n_rows)],
                "model_a": ["a"] * n_rows,
                "model_b": ["b"] * n_rows,
                "outcome": [1.0] * n_rows,
                "group": groups,
            }
        )
    )


def test_prompts_of_one_conversation_have_one_label_and_others_none() -> None:
    one = set_of_comparisons(grouped(["x", "x", "y", None]))
    labels = conversation_labels([one], one.preferences.prompts)
    assert labels[0] == labels[1] is not None
    assert labels[2:] == [None, None]  # alone in its conversation, or in none


def test_a_large_group_is_a_subset_and_no_conversation() -> None:
    one = set_of_comparisons(grouped(["x"] * (MAX_CONVERSATION_PROMPTS + 1)))
    assert not any(conversation_labels([one], one.preferences.prompts))


def test_equal_group_names_of_two_sets_are_two_conversations() -> None:
    sets = [set_of_comparisons(grouped(["x", "x"])), set_of_comparisons(grouped([None, None]))]
    labels = conversation_labels(sets, ["prompt 0", "prompt 1"])
    assert labels == ["0:x", "0:x"]
