import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.ratings import rate_models
from routecast.errors import DataError

COMPARISONS = st.lists(
    st.tuples(
        st.sampled_from("abcd"), st.sampled_from("abcd"), st.sampled_from([0.0, 0.5, 1.0, 0.3])
    ).filter(lambda row: row[0] != row[1]),
    min_size=1,
    max_size=40,
)


def test_three_wins_against_one_are_191_points() -> None:
    # log(3) = 1.0986 log-odds, times 400 / log(10) = 173.72 points: 190.85. The prior takes 0.7%:
    # the difference d solves 4 (sigmoid(d) - 3/4) + 0.01 d / 2 = 0, so d = 1.0986 - 0.0073.
    rated = rate_models(["x", "x", "x", "y"], ["y", "y", "y", "x"], np.ones(4))
    assert [model.model for model in rated] == ["x", "y"]
    assert rated[0].rating - rated[1].rating == pytest.approx(190.85 - 0.0073 * 173.72, abs=0.05)
    assert rated[0].rating + rated[1].rating == pytest.approx(2000)
    assert [model.n_comparisons for model in rated] == [4, 4]
    assert not rated[0].rests_on_prior


def test_interval_is_two_standard_errors_to_each_side() -> None:
    # 100 even comparisons: variance of the difference 1 / (100 / 4) = 0.04, of half of it 0.01,
    # so 1.96 * 0.1 * 173.72 = 34.05 points, less 0.01% for the prior.
    rated = rate_models(["x"] * 100, ["y"] * 100, np.full(100, 0.5))
    for model in rated:
        assert model.rating_low is not None
        assert model.rating_high is not None
        assert model.rating - model.rating_low == pytest.approx(34.05, abs=0.02)
        assert model.rating_high - model.rating == pytest.approx(34.05, abs=0.02)


@settings(deadline=None)  # other work may share the machine
@given(COMPARISONS)
def test_naming_the_sides_the_other_way_round_changes_nothing(
    rows: list[tuple[str, str, float]],
) -> None:
    a, b, outcomes = zip(*rows, strict=True)
    one = {model.model: model.rating for model in rate_models(a, b, np.array(outcomes))}
    other = {model.model: model.rating for model in rate_models(b, a, 1 - np.array(outcomes))}
    assert one == pytest.approx(other, abs=1e-6)


def test_a_weight_counts_like_so_many_rows() -> None:
    by_weight = rate_models(["x", "y"], ["y", "x"], np.ones(2), weights=np.array([3.0, 1.0]))
    by_rows = rate_models(["x", "x", "x", "y"], ["y", "y", "y", "x"], np.ones(4))
    assert by_weight[0].rating == pytest.approx(by_rows[0].rating)
    assert by_weight[0].n_comparisons == 2


def test_models_that_never_lost_are_finite_and_marked() -> None:
    a = ["best"] * 10 + ["x", "y"] * 200
    b = ["x", "y"] * 5 + ["y", "x"] * 200
    best, *others = rate_models(a, b, np.ones(410))
    assert best.model == "best"
    assert best.rests_on_prior
    assert not any(model.rests_on_prior for model in others)
    assert 800 < best.rating - others[0].rating < 1100


def test_equal_records_are_equal_ratings_to_the_last_bit() -> None:
    names = [f"m{i}" for i in range(7)]
    pairs = [(a, b) for a in names for b in names if a != b]
    a, b = zip(*pairs, strict=True)
    assert len({model.rating for model in rate_models(a, b, np.full(len(pairs), 0.7))}) == 1


def test_a_model_against_itself_says_nothing() -> None:
    with_self = rate_models(["x", "x", "z"], ["y", "x", "z"], np.array([0.5, 1.0, 1.0]))
    assert {model.model: model.n_comparisons for model in with_self} == {"x": 1, "y": 1}
    assert all(math.isclose(model.rating, 1000) for model in with_self)


@pytest.mark.parametrize(
    ("a", "b", "outcomes", "weights", "message"),
    [
        ([], [], [], None, "votes holds no comparison of two models"),
        (["x"], ["x"], [1.0], None, "votes holds no comparison of two models"),
        (["x", " "], ["y", "y"], [1.0, 1.0], None, "votes, row 2: model_a is ' '"),
        (["x", "x"], ["y", "y"], [1.0, 1.5], None, "votes, row 2: outcome 1.5 must be"),
        (["x"], ["y"], [math.nan], None, "votes, row 1: outcome nan must be"),
        (["x"], ["y"], [1.0], [0.0], "votes, row 1: weight 0.0 must be"),
        (["x"], ["y"], [1.0], [math.inf], "votes, row 1: weight inf must be"),
    ],
)
def test_unusable_comparisons_are_refused_by_row(
    a: list[str], b: list[str], outcomes: list[float], weights: list[float] | None, message: str
) -> None:
    weight_array = None if weights is None else np.array(weights)
    with pytest.raises(DataError, match=message):
        rate_models(a, b, np.array(outcomes), weights=weight_array, source="votes")


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        rate_models(["x"], ["y", "z"], np.ones(1))
