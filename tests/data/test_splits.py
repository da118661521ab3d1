"""Splits by prompt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.leakage import normalise_prompt
from routecast.data.splits import PromptSplit, folds_by_prompt, split_by_prompt

NUMBERED = [f"prompt {row}" for row in range(1000)]
ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.sampled_from([None, 1, 2, 3, 4])), min_size=1
)


def sides(split: PromptSplit, n_rows: int) -> list[int]:
    side = np.full(n_rows, -1)
    for number, rows in enumerate((split.train, split.validation, split.test)):
        assert (side[rows] == -1).all()
        assert (np.diff(rows) > 0).all()
        side[rows] = number
    assert (side >= 0).all()
    return side.tolist()


def test_distinct_prompts_are_split_by_the_fractions_exactly() -> None:
    split = split_by_prompt(NUMBERED, fractions=(0.7, 0.2, 0.1), seed=1)
    assert (len(split.train), len(split.validation), len(split.test)) == (700, 200, 100)


def test_a_side_may_be_empty() -> None:
    split = split_by_prompt(NUMBERED, fractions=(0.75, 0.0, 0.25), seed=1)
    assert (len(split.train), len(split.validation), len(split.test)) == (750, 0, 250)


def test_equal_seeds_split_alike_and_others_differently() -> None:
    one, same, other = (split_by_prompt(NUMBERED, seed=seed).train for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    # Of 800 rows, 640 are expected in both by chance.
    assert 590 < len(np.intersect1d(one, other)) < 690


def test_the_order_of_the_rows_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(len(NUMBERED))
    straight = sides(split_by_prompt(NUMBERED, seed=3), len(NUMBERED))
    shuffled = sides(split_by_prompt([NUMBERED[row] for row in order], seed=3), len(NUMBERED))
    assert shuffled == [straight[row] for row in order]


@settings(deadline=None)  # other work may share the machine
@given(ROWS, st.integers(0, 5))
def test_equal_prompts_and_equal_groups_stay_together(
    rows: list[tuple[str, int | None]], seed: int
) -> None:
    prompts = [text if row % 2 else f"{text.upper()}!" for row, (text, _) in enumerate(rows)]
    groups = [group for _, group in rows]
    side = sides(split_by_prompt(prompts, seed=seed, groups=groups), len(rows))
    for row, other in zip(*np.triu_indices(len(rows), 1), strict=True):
        equal = normalise_prompt(prompts[row]) == normalise_prompt(prompts[other])
        if equal or (groups[row] is not None and groups[row] == groups[other]):
            assert side[row] == side[other]


def test_chains_of_prompts_and_groups_stay_together() -> None:
    # Row 0 shares its group with row 1, which shares its prompt with row 2, and so on.
    prompts = ["a", "b", "b", "c", "c", "d", "free"] * 1
    groups = [1, 1, 2, 2, 3, 3, None]
    for seed in range(20):
        side = sides(split_by_prompt(prompts, seed=seed, groups=groups), len(prompts))
        assert len(set(side[:6])) == 1


def test_group_labels_are_not_mixed_up_with_prompts() -> None:
    labels = [f"prompt {row + 1}" for row in range(1000)]
    split = split_by_prompt(NUMBERED, fractions=(0.5, 0.0, 0.5), seed=0, groups=labels)
    assert len(split.train) == 500


def test_folds_differ_by_one_row_at_most_and_cover_all() -> None:
    folds = folds_by_prompt(NUMBERED[:103], n_folds=5, seed=0)
    assert sorted(np.bincount(folds)) == [20, 20, 21, 21, 21]


@settings(deadline=None)  # other work may share the machine
@given(ROWS)
def test_a_prompt_is_in_one_fold_only(rows: list[tuple[str, int | None]]) -> None:
    prompts = [text for text, _ in rows]
    if len(set(prompts)) < 2:
        return
    folds = folds_by_prompt(prompts, n_folds=2, seed=0)
    for text in set(prompts):
        assert len({folds[row] for row, other in enumerate(prompts) if other == text}) == 1
    assert set(folds.tolist()) == {0, 1}


@pytest.mark.parametrize("fractions", [(0.5, 0.5, 0.5), (1.5, -0.5, 0.0)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        split_by_prompt(NUMBERED, fractions=fractions, seed=0)


def test_too_many_folds_and_too_few_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="3 folds of 2 different prompts"):
        folds_by_prompt(["a", "A!", "b"], n_folds=3, seed=0)
    with pytest.raises(ValueError, match="1 groups for 2 prompts"):
        split_by_prompt(["a", "b"], seed=0, groups=[1])


def test_no_rows_give_empty_sides() -> None:
    split = split_by_prompt([], seed=0)
    assert len(split.train) == len(split.validation) == len(split.test) == 0
