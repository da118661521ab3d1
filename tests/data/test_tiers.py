import math
from pathlib import Path

import pytest

from routecast.data.rating_files import read_ratings
from routecast.data.ratings import RatedModel
from routecast.data.tiers import assign_tiers
from routecast.errors import ConfigError, DataError


def rated(**ratings: float) -> list[RatedModel]:
    return [RatedModel(model=name, rating=rating) for name, rating in ratings.items()]


def test_tier_0_is_the_strongest_and_lists_its_best_first() -> None:
    # Within-tier deviation: {1200, 1190}, {900}, {500}: 2 * 5^2 = 50; any other cut costs more.
    table = assign_tiers(rated(weak=500, a=1190, middle=900, b=1200), n_tiers=3)
    assert table.tier_by_model == {"b": 0, "a": 0, "middle": 1, "weak": 2}
    assert [tier.number for tier in table.tiers] == [0, 1, 2]
    assert (table.tiers[0].highest_rating, table.tiers[0].lowest_rating) == (1200, 1190)


def test_equal_ratings_share_a_tier_in_order_of_name() -> None:
    table = assign_tiers(rated(z=1000, y=1000, x=1000, w=999), n_tiers=2)
    assert [[member.model for member in tier.models] for tier in table.tiers] == [
        ["x", "y", "z"],
        ["w"],
    ]


def test_rows_are_flat_records_from_the_strongest_down() -> None:
    rows = assign_tiers(rated(b=1.0, a=2.0), n_tiers=2).rows()
    assert [(row["tier"], row["model"], row["rating"]) for row in rows] == [
        (0, "a", 2),
        (1, "b", 1),
    ]
    assert rows[0]["n_comparisons"] is None


def test_fewer_distinct_ratings_than_tiers_is_an_error() -> None:
    with pytest.raises(DataError, match="3 models with 2 distinct ratings cannot fill 3 tiers"):
        assign_tiers(rated(a=1, b=1, c=2), n_tiers=3)
    with pytest.raises(DataError, match="0 models with 0 distinct ratings cannot fill 1 tiers"):
        assign_tiers([], n_tiers=1)


@pytest.mark.parametrize("rating", [math.nan, math.inf])
def test_a_rating_that_is_not_finite_is_an_error_with_the_models_name(rating: float) -> None:
    with pytest.raises(DataError, match=f"model 'b' has the rating {rating!r}"):
        assign_tiers(rated(a=1, b=rating), n_tiers=1)


def test_a_model_rated_twice_is_an_error() -> None:
    with pytest.raises(DataError, match="model 'a' is rated more than once"):
        assign_tiers([*rated(a=1), *rated(a=2)], n_tiers=1)


def test_no_tiers_is_an_error() -> None:
    with pytest.raises(ConfigError, match="n_tiers 0 must be 1 or more"):
        assign_tiers(rated(a=1), n_tiers=0)


def test_the_shared_leaderboard_falls_into_ten_tiers(shared_data: Path) -> None:
    ratings = read_ratings(shared_data / "train" / "arena_leaderboard_2025-12.parquet")
    table = assign_tiers(ratings.models)
    assert ratings.category == "full"
    assert sum(len(tier.models) for tier in table.tiers) == 282
    assert len(table.tiers) == 10
    for stronger, weaker in zip(table.tiers, table.tiers[1:], strict=False):
        assert stronger.lowest_rating > weaker.highest_rating


def test_the_shared_votes_rate_gpt_4o_above_mixtral(shared_data: Path) -> None:
    ratings = read_ratings(shared_data / "train" / "arena_votes_10k_noprompt.parquet")
    tier = assign_tiers(ratings.models).tier_by_model
    assert len(tier) == 55
    assert sum(model.n_comparisons or 0 for model in ratings.models) == 20_000
    assert tier["gpt-4o-2024-05-13"] < tier["mixtral-8x7b-instruct-v0.1"]
