"""One configured model: where it is, what it is called there, and the key for it."""

from dataclasses import dataclass, field

from routecast.upstream.apis import Api
from routecast.upstream.prices import Price


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long one attempt waits for an upstream, in seconds.

    Attributes:
        connect_s: Until the connection stands.
        first_byte_s: Until the answer begins, once the request is sent.
        between_chunks_s: Silence in the middle of an answer.
        total_s: For one answer in all.
    """

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    between_chunks_s: float = 300.0
    total_s: float = 3600.0


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A model behind a URL.

    Attributes:
        name: The name in the settings, which clients and decisions use.
        model: The name that the upstream knows it by.
        base_url: Up to and with the version, for example ``https://api.openai.com/v1``.
        api_key: The secret itself, already resolved; None where the upstream asks for none.
        price: None where nobody said.
        apis: What it speaks.
        timeouts: How long an attempt waits for it.
        n_retries: How often a failed attempt is repeated with it.
        ask_usage: Whether streamed chat answers are to be asked for their token usage.
    """

    name: str
    model: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    price: Price | None = None
    apis: frozenset[Api] = frozenset({Api.CHAT})
    timeouts: Timeouts = Timeouts()
    n_retries: int = 2
    ask_usage: bool = False

    def url(self, path: str) -> str:
        """Return the address of an API path such as ``/chat/completions``."""
        return f"{self.base_url.rstrip('/')}/{path.lstrip('/')}"

    def headers(self, api: Api = Api.CHAT) -> dict[str, str]:
        """Return the headers that identify us to the upstream; empty without a key.

        Anthropic's API takes the key in ``x-api-key``, all others as a bearer token.
        """
        if self.api_key is None:
            return {}
        if api is Api.MESSAGES:
            return {"x-api-key": self.api_key}
        return {"Authorization": f"Bearer {self.api_key}"}
