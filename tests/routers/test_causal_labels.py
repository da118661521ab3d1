"""Labels, their win probability, and the targets that ask for it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from routecast.errors import ConfigError
from routecast.routers.causal_labels import LETTERS, WIN, find_labels, grade_labels

LOGITS = st.lists(st.floats(-30, 30), min_size=3, max_size=3)


def test_win_probability_is_strong_plus_half_of_tie() -> None:
    # Odds 2 : 1 : 1 are probabilities .5, .25, .25; strong wins .5 + .25 / 2 = .625.
    logits = np.log([[2.0, 1.0, 1.0]])
    assert WIN.win_probabilities(logits) == pytest.approx([0.625])


def test_a_grade_below_four_is_a_win_of_strong() -> None:
    # P(1) + P(2) + P(3) = .1 + .2 + .3 = .6, which is 1 - (P(4) + P(5)) as RouteLLM's checkpoint
    # has it; with 3 as the lowest good grade it is .3.
    logits = np.log([[0.1, 0.2, 0.3, 0.25, 0.15]])
    assert grade_labels().win_probabilities(logits) == pytest.approx([1 - (0.25 + 0.15)])
    assert grade_labels(3).win_probabilities(logits) == pytest.approx([0.3])
    assert grade_labels().tokens == ("[[1]]", "[[2]]", "[[3]]", "[[4]]", "[[5]]")


@given(logits=LOGITS, shift=st.floats(-20, 20))
def test_only_differences_of_logits_count_and_swapping_sides_gives_the_complement(
    logits: list[float], shift: float
) -> None:
    row = np.array([logits])
    found = WIN.win_probabilities(row)
    expected = softmax(row, axis=1) @ np.array([1.0, 0.5, 0.0])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(WIN.win_probabilities(row + shift), found, atol=1e-9)
    np.testing.assert_allclose(WIN.win_probabilities(row[:, ::-1]), 1 - found, atol=1e-12)


def test_a_label_that_cannot_come_counts_nothing_and_none_at_all_is_unknown() -> None:
    logits = np.array([[-math.inf, 0.0, 0.0], [-math.inf] * 3, [math.nan] * 3])
    found = WIN.win_probabilities(logits)
    assert found[0] == pytest.approx(0.25)
    assert np.isnan(found[1:]).all()
    assert WIN.win_probabilities(np.empty((0, 3))).shape == (0,)


def test_targets_are_the_label_itself_or_shared_by_its_neighbours() -> None:
    # .7 lies between tie (.5) and strong (1): .4 of strong and .6 of tie, .4 + .6 / 2 = .7.
    found = WIN.targets(np.array([1.0, 0.5, 0.0, 0.7]))
    expected = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.4, 0.6, 0]])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # A quality of .6 is grade 1 + 4 * .6 = 3.4: .6 of grade 3 and .4 of grade 4.
    graded = grade_labels().targets(np.array([0.6]))
    np.testing.assert_allclose(graded, [[0, 0, 0.6, 0.4, 0]], atol=1e-12)


@given(values=st.lists(st.floats(0, 1), max_size=20))
def test_targets_are_distributions_whose_mean_level_is_the_value(values: list[float]) -> None:
    for labels in (WIN, LETTERS, grade_labels()):
        found = labels.targets(np.array(values))
        assert found.shape == (len(values), len(labels.tokens))
        assert (found >= 0).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
        np.testing.assert_allclose(found @ np.array(labels.levels), values, atol=1e-12)
        assert ((found > 0).sum(axis=1) <= 2).all()


def test_targets_outside_the_scale_are_refused() -> None:
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"in \[0, 1\]"):
            WIN.targets(np.array([bad]))


def test_label_sets_have_names() -> None:
    assert find_labels("win") is WIN
    assert find_labels("grade", good_grade=3).worths == (1.0, 1.0, 0.0, 0.0, 0.0)
    with pytest.raises(ConfigError, match=r"labels 'wins'; choose one of \['win', 'grade'\]"):
        find_labels("wins", among=("win", "grade"))
    with pytest.raises(ConfigError, match="labels 'letters'"):
        find_labels("letters", among=("win", "grade"))
    with pytest.raises(ConfigError, match="good_grade 1; accepted are 2, 3, 4 and 5"):
        grade_labels(1)
