"""One configured model: where it is, what it is called there, and the key for it."""

from dataclasses import dataclass, field

from routecast.upstream.prices import Price


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An OpenAI-compatible model behind a URL.

    Attributes:
        name: The name in the settings, which clients and decisions use.
        model: The name that the upstream knows it by.
        base_url: Up to and with the version, for example ``https://api.openai.com/v1``.
        api_key: The secret itself, already resolved; None where the upstream asks for none.
        price: None where nobody said.
    """

    name: str
    model: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    price: Price | None = None

    def url(self, path: str) -> str:
        """Return the address of an API path such as ``/chat/completions``."""
        return f"{self.base_url.rstrip('/')}/{path.lstrip('/')}"

    def headers(self) -> dict[str, str]:
        """Return the headers that identify us to the upstream; empty without a key."""
        return {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
