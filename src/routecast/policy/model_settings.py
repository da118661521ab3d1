"""``[models.NAME]``: one upstream model."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from routecast.policy.table import SecretReference, Table
from routecast.upstream.apis import Api

_API_PATHS = ("/chat/completions", "/completions", "/responses", "/messages", "/embeddings")


def _check_base_url(value: str) -> str:
    parts = urlsplit(value)
    if "@" in parts.netloc:
        raise ValueError("a URL must not hold a user name or password; use api_key")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("accepted: an http:// or https:// URL such as https://api.openai.com/v1")
    if parts.query or parts.fragment:
        raise ValueError("accepted: a URL without '?' and '#'")
    for path in _API_PATHS:
        if parts.path.rstrip("/").endswith(path):
            raise ValueError(f"leave {path!r} off; accepted: the part before it")
    return value


def _check_apis(value: tuple[Api, ...]) -> tuple[Api, ...]:
    if not value:
        raise ValueError(f"accepted: a list of one or more of {', '.join(Api)}")
    if len(set(value)) != len(value):
        raise ValueError("it should name each API once")
    return value


class PriceSettings(Table):
    """What a model costs."""

    input: float = Field(ge=0)
    """US dollars per million tokens of the prompt."""

    output: float = Field(ge=0)
    """US dollars per million tokens of the answer."""

    cached_input: float | None = Field(default=None, ge=0)
    """US dollars per million tokens of the prompt that the upstream read from its cache; as input
    if left out."""


class ModelSettings(Table):
    """One upstream model; clients may ask for it by its table's name, without routing."""

    model: str = Field(min_length=1)
    """The name that the upstream knows the model by."""

    base_url: Annotated[str, AfterValidator(_check_base_url)]
    """The upstream's address, up to and with the version, such as https://api.openai.com/v1 or
    https://api.anthropic.com/v1."""

    api_key: SecretReference | None = None
    """Where the upstream's key is: env:NAME or file:PATH; leave it out where none is needed."""

    price: PriceSettings | None = None
    """US dollars per million tokens, for every figure in dollars."""

    apis: Annotated[
        tuple[Annotated[Api, Field(strict=False)], ...], AfterValidator(_check_apis)
    ] = Field(default=(Api.CHAT,), strict=False)
    """The APIs that the upstream speaks for this model: chat, responses, completions, messages
    (Anthropic's) and embeddings. Nothing is translated between them."""

    ask_usage: bool = False
    """Whether a streamed chat answer is asked for its token usage where the client did not ask; the
    extra chunk is taken out again. It is the one thing that is ever added to a request."""

    tools: bool = True
    """Whether the model takes tools; requests with tools go elsewhere if not."""

    images: bool = True
    """Whether the model takes images; requests with images go elsewhere if not."""

    json_schema: bool = True
    """Whether the model can be held to a JSON schema; requests with one go elsewhere if not."""

    context_tokens: int | None = Field(default=None, ge=1)
    """The most tokens that prompt and answer may have together; requests that are longer by a
    careful estimate go elsewhere. No limit if left out."""

    connect_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds until the upstream must have accepted the connection."""

    first_byte_timeout_s: float = Field(default=600.0, gt=0)
    """Seconds until the upstream must have begun to answer, once the request is sent."""

    between_chunks_timeout_s: float = Field(default=300.0, gt=0)
    """Seconds that the upstream may be silent in the middle of an answer."""

    total_timeout_s: float = Field(default=3600.0, gt=0)
    """Seconds that one answer may take in all."""

    retries: int = Field(default=2, ge=0, le=10)
    """How often a request is sent again to this upstream after a failure that may pass, before the
    route's fallback is tried; only while nothing has been sent to the client."""
