import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.preferences import PreferenceArrays
from routecast.errors import ConfigError, DataError
from routecast.train.sides import (
    rate_tiers,
    resolve_sides,
)
from routecast.train.sources import LabelledSet, set_of_comparisons


def battles(*rows: tuple[str, str, str, float]) -> LabelledSet:
    columns = ("prompt", "model_a", "model_b", "outcome")
    return set_of_comparisons(Comparisons(table=pl.DataFrame(rows, schema=columns, orient="row")))


def ladder(n_models: int) -> PreferenceArrays:
    """Every model beats the next one three times of four, so that their ratings fall in order."""
    rows = [
        (f"prompt {i} {k}", f"m{i:02}", f"m{i + 1:02}", float(k > 0))
        for i in range(n_models - 1)
        for k in range(4)
    ]
    return battles(*rows).preferences


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
