"""What a served request cost."""

from collections.abc import Mapping

from routecast.gateway.exchange import RelayResult
from routecast.upstream.prices import Price, cost_usd


def cost_of(result: RelayResult | None, prices: Mapping[str, Price]) -> float | None:
    """Return what an answer cost, in US dollars.

    Args:
        result: What the relay came to; None where no upstream was tried.
        prices: By model; models whose price nobody said are missing.

    Returns:
        None where there is no price, or the answer did not say its usage.
    """
    if result is None or result.model is None or result.usage is None:
        return None
    price = prices.get(result.model)
    if price is None:
        return None
    return cost_usd(
        price,
        n_input_tokens=result.usage.input_tokens,
        n_output_tokens=result.usage.output_tokens,
        n_cached_input_tokens=result.usage.cached_input_tokens or 0,
    )
