from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
import pytest

from routecast.data.outcomes import Outcomes, PairOutcomes
from routecast.errors import DataError
from routecast.evaluate.costs import pair_costs
from routecast.upstream.prices import Price


def pair_with(**columns: Sequence[float | None]) -> PairOutcomes:
    named: Mapping[str, Sequence[object]] = {
        "prompt": ["one", "two"],
        "quality|s": [1, 0],
        "quality|w": [0, 0],
        **{name.replace("__", "|"): values for name, values in columns.items()},
    }
    return Outcomes(table=pl.DataFrame(named)).pair(strong="s", weak="w")


def test_costs_are_the_columns_where_no_price_is_given() -> None:
    costs = pair_costs(pair_with(cost_usd__s=[0.1, 0.2], cost_usd__w=[0.01, 0.0]))
    assert costs.strong_usd is not None
    assert costs.weak_usd is not None
    assert costs.strong_usd.tolist() == [0.1, 0.2]
    assert costs.weak_usd.tolist() == [0.01, 0.0]
    assert costs.warnings == ()


def test_a_price_multiplies_tokens_and_goes_before_the_column() -> None:
    # 1,000 tokens in at $2 a million and 500 out at $10: 0.002 + 0.005 = 0.007.
    pair = pair_with(
        cost_usd__s=[9, 9],
        cost_usd__w=[0.001, 0.001],
        input_tokens__s=[1000, 0],
        output_tokens__s=[500, 0],
    )
    costs = pair_costs(pair, strong_price=Price(input=2, output=10))
    assert costs.strong_usd is not None
    assert costs.strong_usd == pytest.approx(np.array([0.007, 0.0]))


def test_no_costs_at_all_are_nothing_to_warn_of() -> None:
    costs = pair_costs(pair_with())
    assert (costs.weak_usd, costs.strong_usd, costs.warnings) == (None, None, ())


def test_costs_of_one_model_or_of_some_prompts_are_left_out_and_said() -> None:
    one = pair_costs(pair_with(cost_usd__s=[0.1, 0.2]))
    assert one.strong_usd is None
    assert one.warnings == (
        "no figures in dollars: nothing says what 'w' costs; give its price too",
    )
    some = pair_costs(pair_with(cost_usd__s=[0.1, None], cost_usd__w=[0.01, 0.01]))
    assert some.strong_usd is None
    assert some.warnings == (
        "no figures in dollars: the costs of 's' are unknown for 1 of 2 prompts",
    )


def test_a_price_without_tokens_is_refused() -> None:
    with pytest.raises(DataError, match=r"no columns 'input_tokens\|s' and 'output_tokens\|s'"):
        pair_costs(pair_with(), strong_price=Price(input=1, output=1))
