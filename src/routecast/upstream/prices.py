"""What tokens cost."""

from dataclasses import dataclass
from typing import TypeVar

from routecast.types import FloatArray

_Tokens = TypeVar("_Tokens", float, FloatArray)


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of a model, in US dollars per million tokens.

    Attributes:
        input: Per million tokens of the prompt.
        output: Per million tokens of the answer.
        cached_input: Per million tokens of the prompt that the upstream had cached; as ``input``
            where None.
    """

    input: float
    output: float
    cached_input: float | None = None


def cost_usd(
    price: Price,
    *,
    n_input_tokens: _Tokens,
    n_output_tokens: _Tokens,
    n_cached_input_tokens: float = 0,
) -> _Tokens:
    """Return what one answer costs, or each of several, in US dollars.

    Args:
        price: Of the model that answered.
        n_input_tokens: Of the prompt, those that were cached included; a number, or an array of
            any shape, one per answer.
        n_output_tokens: Of the answer; same shape.
        n_cached_input_tokens: How many of the prompt's were cached.
    """
    cached = price.input if price.cached_input is None else price.cached_input
    paid = price.input * (n_input_tokens - n_cached_input_tokens) + cached * n_cached_input_tokens
    return (paid + price.output * n_output_tokens) / 1e6
