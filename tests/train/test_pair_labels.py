import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.data.preferences import PreferenceArrays
from routecast.train.pair_labels import PromptLabels, labels_between_sides
from routecast.train.registry import Lesson

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


def labels_of(battles: list[Battle]) -> PromptLabels:
    lesson = lesson_of(battles)
    return labels_between_sides(lesson, lesson.training)


def test_labels_are_weighted_means_over_a_prompts_battles_between_the_sides() -> None:
    labels = labels_of(
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
    labels = labels_of([(1, 0, 2, 1.0, 1.0)])
    assert len(labels) == 0
    assert np.isnan(list(labels.balance().values())).all()


def test_the_balance_is_by_weight() -> None:
    labels = labels_of([(0, 0, 1, 1.0, 2.0), (1, 0, 1, 0.5, 1.0), (2, 0, 1, 0.2, 1.0)])
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
    labels = labels_of(battles)
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
