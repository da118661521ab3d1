"""The few fields of a chat request that OpenAI-compatible upstreams disagree on."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one upstream wants to be asked; the default is what most understand.

    Attributes:
        output_limit: The field that holds the largest number of output tokens. OpenAI's newer
            models refuse ``max_tokens``; many other servers know nothing else.
        takes_temperature: Reasoning models refuse any but their own.
    """

    output_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    takes_temperature: bool = True


def adapt_dialect(dialect: Dialect, refused: str | None) -> Dialect | None:
    """Return the dialect to try next after an upstream refused a parameter.

    Args:
        dialect: The one that was refused.
        refused: The parameter's name, as the upstream's error says it.

    Returns:
        None when there is nothing to change: the refusal has another reason.
    """
    if refused == "max_tokens" and dialect.output_limit == "max_tokens":
        return replace(dialect, output_limit="max_completion_tokens")
    if refused == "temperature" and dialect.takes_temperature:
        return replace(dialect, takes_temperature=False)
    return None
