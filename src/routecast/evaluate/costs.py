"""Dollars per answer: from the outcomes' own columns, or tokens times prices."""

from dataclasses import dataclass

import numpy as np

from routecast.data.outcomes import COST_USD, INPUT_TOKENS, OUTPUT_TOKENS, PairOutcomes
from routecast.errors import DataError
from routecast.types import FloatArray
from routecast.upstream.prices import Price, cost_usd


@dataclass(frozen=True, kw_only=True, eq=False)
class PairCosts:
    """What the answers of both models cost.

    Attributes:
        weak_usd: US dollars of the weak model's answer per prompt, shape (n_prompts,); None where
            the costs of either model are unknown.
        strong_usd: Likewise for the strong model; known together.
        warnings: Why costs are not known, where part of them is.
    """

    weak_usd: FloatArray | None
    strong_usd: FloatArray | None
    warnings: tuple[str, ...] = ()


def pair_costs(
    pair: PairOutcomes, *, strong_price: Price | None = None, weak_price: Price | None = None
) -> PairCosts:
    """Return the costs of both models, where they are known for every prompt.

    Args:
        pair: The outcomes. A model's costs are its column ``cost_usd|MODEL``, unless a price is
            given: then they are its tokens times that price.
        strong_price: Price of the strong model.
        weak_price: Price of the weak model.

    Raises:
        DataError: If a price is given for a model without columns of tokens.
    """
    sides = ((pair.strong, strong_price), (pair.weak, weak_price))
    costs = [answer_costs_usd(pair, model, price) for model, price in sides]
    warnings = []
    for model, known, other in zip((pair.strong, pair.weak), costs, costs[::-1], strict=True):
        if known is None and other is not None:
            warnings.append(f"nothing says what {model!r} costs; give its price too")
        elif known is not None and (n_unknown := int(np.isnan(known).sum())):
            warnings.append(
                f"the costs of {model!r} are unknown for {n_unknown:,} of {len(pair):,} prompts"
            )
    strong_usd, weak_usd = costs
    if warnings or strong_usd is None or weak_usd is None:
        said = tuple(f"no figures in dollars: {warning}" for warning in warnings)
        return PairCosts(weak_usd=None, strong_usd=None, warnings=said)
    return PairCosts(weak_usd=weak_usd, strong_usd=strong_usd)


def answer_costs_usd(pair: PairOutcomes, model: str, price: Price | None) -> FloatArray | None:
    """Return what the answers of one model cost, in US dollars.

    Args:
        pair: The outcomes.
        model: One of the pair.
        price: Its tokens are multiplied by that; None for its column ``cost_usd|MODEL``.

    Returns:
        Shape (n_prompts,), NaN where unknown; None without a price and without that column.

    Raises:
        DataError: If a price is given and the model has no columns of tokens.
    """
    if price is None:
        return pair.outcomes.cost_usd(model)
    n_input, n_output = pair.outcomes.input_tokens(model), pair.outcomes.output_tokens(model)
    if n_input is None or n_output is None:
        raise DataError(
            f"{pair.outcomes.source} has no columns {INPUT_TOKENS + model!r} and "
            f"{OUTPUT_TOKENS + model!r} to multiply a price with; leave the price out, or give "
            f"costs in {COST_USD + model!r}"
        )
    return cost_usd(price, n_input_tokens=n_input, n_output_tokens=n_output)
