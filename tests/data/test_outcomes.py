"""The outcomes contract."""

import sys

import numpy as np
import polars as pl
import pytest

from routecast.data.outcomes import Outcomes, rescale_quality, swap_warning
from routecast.errors import DataError, MissingExtraError


def outcomes(**columns: object) -> Outcomes:
    return Outcomes(table=pl.DataFrame({"prompt": ["one", "two", "three"], **columns}))


def test_qualities_come_as_floats_with_nan_for_unknown() -> None:
    table = outcomes(**{"quality|a": [1, None, 0], "quality|b": [True, False, None]})
    np.testing.assert_array_equal(table.quality("a"), [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(table.quality("b"), [1.0, 0.0, np.nan])
    assert table.models == ("a", "b")
    assert table.prompts == ["one", "two", "three"]


def test_a_model_without_any_known_quality_is_all_nan() -> None:
    assert np.isnan(outcomes(**{"quality|a": [None, None, None]}).quality("a")).all()


def test_unknown_columns_are_kept() -> None:
    table = outcomes(**{"quality|a": [0.5] * 3, "in_mt_bench": [True, False, True]})
    assert table.table["in_mt_bench"].to_list() == [True, False, True]


@pytest.mark.parametrize(
    ("column", "values", "named"),
    [
        ("quality|a", [0.0, 1.5, 1.0], "row 2, column 'quality|a': 1.5; accepted is a number from"),
        ("quality|a", [0.0, 1.0, float("nan")], "row 3, column 'quality|a': nan"),
        ("quality|a", [float("inf"), 1.0, 1.0], "row 1, column 'quality|a': inf"),
        ("quality|a", [None, "good", None], "row 2, column 'quality|a': 'good'"),
        ("cost_usd|a", [0.1, -0.1, 0.0], "row 2, column 'cost_usd|a': -0.1; accepted is a finite"),
        ("output_tokens|a", [1, 2, -3], "row 3, column 'output_tokens|a': -3"),
        ("prompt", ["one", None, "three"], "row 2, column 'prompt': None; accepted is text"),
        ("prompt", [1, 2, 3], "row 1, column 'prompt': 1"),
    ],
)
def test_a_bad_value_is_refused_with_row_column_value_and_what_is_accepted(
    column: str, values: list[object], named: str
) -> None:
    columns = {"prompt": ["one", "two", "three"], "quality|a": [0.0] * 3} | {column: values}
    with pytest.raises(DataError) as error:
        Outcomes(table=pl.DataFrame(columns, strict=False), source="file.csv")
    assert f"file.csv, {named}" in str(error.value)


def test_a_table_without_prompts_or_qualities_is_refused() -> None:
    with pytest.raises(DataError, match="no column 'prompt'"):
        Outcomes(table=pl.DataFrame({"quality|a": [1.0]}))
    with pytest.raises(DataError, match="no column of qualities"):
        Outcomes(table=pl.DataFrame({"prompt": ["one"]}))


def test_another_scale_is_given_and_rescaled_linearly() -> None:
    columns = {"prompt": ["one", "two"], "quality|s": [10.0, 7.0], "quality|w": [1.0, 10.0]}
    graded = Outcomes(table=pl.DataFrame(columns), quality_range=(1.0, 10.0))
    # (10 - 1) / 9 = 1, (7 - 1) / 9 = 2/3, (1 - 1) / 9 = 0
    np.testing.assert_allclose(rescale_quality(graded).quality("s"), [1.0, 2 / 3])
    np.testing.assert_allclose(rescale_quality(graded).quality("w"), [0.0, 1.0])
    # Gaps (10 - 1) / 9 = 1 and (7 - 10) / 9 = -1/3, before and after rescaling
    np.testing.assert_allclose(graded.pair(strong="s", weak="w").gap, [1.0, -1 / 3])
    rescaled = rescale_quality(graded).pair(strong="s", weak="w")
    np.testing.assert_allclose(rescaled.gap, [1.0, -1 / 3])


@pytest.mark.parametrize("quality_range", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf"))])
def test_a_quality_range_that_is_no_scale_is_refused(quality_range: tuple[float, float]) -> None:
    table = pl.DataFrame({"prompt": ["one"], "quality|a": [1.0]})
    with pytest.raises(DataError, match="is not a scale"):
        Outcomes(table=table, quality_range=quality_range)


def test_a_pair_keeps_the_rows_where_both_are_known() -> None:
    columns = {"quality|s": [1, None, 0], "quality|w": [0, 1, 0], "group": ["x", "x", "y"]}
    pair = outcomes(**columns).pair(strong="s", weak="w")
    assert pair.prompts == ["one", "three"]
    np.testing.assert_array_equal(pair.strong_quality, [1.0, 0.0])
    np.testing.assert_array_equal(pair.weak_quality, [0.0, 0.0])
    np.testing.assert_array_equal(pair.gap, [1.0, 0.0])
    assert pair.group_codes is not None
    assert len(set(pair.group_codes.tolist())) == 2


def test_a_pair_of_nothing_or_of_one_model_is_refused() -> None:
    table = outcomes(**{"quality|s": [1, None, None], "quality|w": [None, 1, 0]})
    with pytest.raises(DataError, match="no row"):
        table.pair(strong="s", weak="w")
    with pytest.raises(DataError, match="two different models"):
        table.pair(strong="w", weak="w")


def test_an_unknown_model_is_refused_with_the_nearest_names() -> None:
    table = outcomes(**{"quality|gpt-4": [1] * 3, "quality|llama-3-8b": [0] * 3})
    with pytest.raises(DataError, match=r"no model 'gpt-5'.*nearest are \['gpt-4'\]"):
        table.quality("gpt-5")


def test_costs_and_tokens_are_none_without_a_column_and_nan_where_unknown() -> None:
    table = outcomes(**{"quality|a": [1] * 3, "cost_usd|a": [0.1, None, 0.0]})
    np.testing.assert_array_equal(table.cost_usd("a"), [0.1, np.nan, 0.0])
    assert table.input_tokens("a") is None
    assert table.output_tokens("a") is None


def test_rows_of_one_group_share_a_code_and_a_null_group_is_its_own() -> None:
    columns = {"prompt": list("abcde"), "quality|a": [1] * 5, "group": ["x", None, "y", "x", None]}
    codes = Outcomes(table=pl.DataFrame(columns)).group_codes
    assert codes is not None
    assert codes[0] == codes[3]
    assert len(set(codes.tolist())) == 4
    assert outcomes(**{"quality|a": [1] * 3}).group_codes is None


def test_without_polars_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    table = outcomes(**{"quality|a": [1] * 3})
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'routecast\[lab\]'"):
        rescale_quality(table)


def test_messages_in_the_prompt_s_place_are_refused_with_what_to_give() -> None:
    table = pl.DataFrame({"prompt": [["Hi"]], "quality|a": [1.0]})
    with pytest.raises(DataError, match="of a list of messages, give the text of the user's last"):
        Outcomes(table=table)


def test_a_strong_model_that_is_the_worse_one_is_said() -> None:
    pair = {"strong": "big", "weak": "small"}
    assert swap_warning(**pair, strong_quality=0.5, weak_quality=0.5) is None
    warning = swap_warning(**pair, strong_quality=0.25, weak_quality=0.5)
    assert warning is not None
    assert "'big' is worse here (mean quality 0.250) than the weak one 'small' (0.500)" in warning
