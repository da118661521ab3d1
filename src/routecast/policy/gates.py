"""Which models can take a request at all: tools, images, JSON schema, context length.

What a model can take is what its settings declare. Tokens are not counted, since every model counts
its own way; they are bounded from the number of bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from routecast.errors import RequestError

MIN_BYTES_PER_TOKEN = 3
"""Text that is denser is rare (English has about 4.5, Chinese and code about 3): a request with at
most ``context_tokens`` at this rate is taken to fit."""

MAX_BYTES_PER_TOKEN = 8
"""Text that is thinner is rare: a request with more than ``context_tokens`` even at this rate is
taken not to fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a request holds that not every model takes.

    Attributes:
        tools: Whether it brings tools.
        images: Whether it holds an image.
        json_schema: Whether the answer must keep to a JSON schema.
        n_text_bytes: Its size in bytes, without what is no text.
        n_other_tokens: Tokens beside the text: of images and the like, and those asked for as the
            answer.
    """

    tools: bool = False
    images: bool = False
    json_schema: bool = False
    n_text_bytes: int = 0
    n_other_tokens: int = 0

    @property
    def n_tokens_at_most(self) -> int:
        """How many tokens prompt and answer have, by a careful estimate."""
        return -(-self.n_text_bytes // MIN_BYTES_PER_TOKEN) + self.n_other_tokens

    @property
    def n_tokens_at_least(self) -> int:
        """How many tokens prompt and answer have, by a generous estimate."""
        return self.n_text_bytes // MAX_BYTES_PER_TOKEN + self.n_other_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a model can take.

    Attributes:
        tools: Whether it takes tools.
        images: Whether it takes images.
        json_schema: Whether it can be held to a JSON schema.
        context_tokens: The most tokens of prompt and answer together; None for no limit.
    """

    tools: bool = True
    images: bool = True
    json_schema: bool = True
    context_tokens: int | None = None

    @property
    def takes_everything(self) -> bool:
        """Whether no request need be looked at."""
        return self == Capabilities()


def find_lacks(needs: Needs, model: Capabilities) -> list[str]:
    """Return what a model would need to take a request, in words; empty if it can."""
    lacks = []
    if needs.tools and not model.tools:
        lacks.append("tools")
    if needs.images and not model.images:
        lacks.append("images")
    if needs.json_schema and not model.json_schema:
        lacks.append("a JSON schema")
    context = model.context_tokens
    if context is not None and needs.n_tokens_at_least > context:
        lacks.append(
            f"about {needs.n_tokens_at_least:,} tokens or more (context_tokens is {context:,})"
        )
    return lacks


def choose_capable(needs: Needs, models: Mapping[str, Capabilities]) -> Sequence[str]:
    """Return the models that can take a request.

    Args:
        needs: What the request holds.
        models: By name, in the order of preference.

    Returns:
        In the same order, those that can. Where the request may be too long for all of these, the
        one with the longest context alone: it is for that model to say whether it fits.

    Raises:
        RequestError: If there is none; the message says what each lacks.
    """
    lacks = {name: find_lacks(needs, model) for name, model in models.items()}
    able = [name for name in models if not lacks[name]]
    if not able:
        faults = "; ".join(f"{name!r} does not take {', '.join(lacks[name])}" for name in models)
        raise RequestError(
            f"no model of this route can take the request: {faults}; leave that out, or ask for "
            "another model",
            code="no_capable_model",
        )
    safe = [name for name in able if _surely_fits(needs, models[name])]
    return safe or [max(able, key=lambda name: models[name].context_tokens or 0)]


def _surely_fits(needs: Needs, model: Capabilities) -> bool:
    return model.context_tokens is None or needs.n_tokens_at_most <= model.context_tokens
