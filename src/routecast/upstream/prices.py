"""What tokens cost."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Price:
    """The price of a model, in US dollars per million tokens.

    Attributes:
        input: Per million tokens of the prompt.
        output: Per million tokens of the answer.
    """

    input: float
    output: float


def cost_usd(price: Price, *, n_input_tokens: int, n_output_tokens: int) -> float:
    """Return what one answer costs, in US dollars."""
    return (price.input * n_input_tokens + price.output * n_output_tokens) / 1e6
