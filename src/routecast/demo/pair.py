"""Which two models the demo routes between."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from routecast.demo.questions import MODEL_NAMES, PRICES
from routecast.errors import ConfigError
from routecast.upstream.prices import Price

DEFAULT_BASE_URL = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two models behind OpenAI-compatible addresses.

    Attributes:
        model_names: What the upstreams call ``strong`` and ``weak``.
        base_urls: Where they are.
        prices: Empty where nobody stated them.
        key_variable: Environment variable with the key, or None where none is needed.
    """

    model_names: Mapping[str, str]
    base_urls: Mapping[str, str]
    prices: Mapping[str, Price]
    key_variable: str | None = None

    @classmethod
    def replayed(cls, base_urls: Mapping[str, str]) -> Self:
        """Return the pair whose recorded answers are replayed at ``base_urls``."""
        return cls(model_names=MODEL_NAMES, base_urls=base_urls, prices=PRICES)

    @classmethod
    def real(cls, strong: str, weak: str, *, environ: Mapping[str, str]) -> Self:
        """Return two of OpenAI's models, or of whatever ``OPENAI_BASE_URL`` names.

        Raises:
            ConfigError: If ``OPENAI_API_KEY`` is not set, or both models are the same.
        """
        if not environ.get(KEY_VARIABLE):
            raise ConfigError(
                f"--real needs the environment variable {KEY_VARIABLE!r}, which is not set; "
                "set it, or leave --real out for recorded answers"
            )
        if strong == weak:
            raise ConfigError(f"--real got {strong!r} twice; name a strong and a weak model")
        base_url = environ.get(URL_VARIABLE) or DEFAULT_BASE_URL
        return cls(
            model_names={"strong": strong, "weak": weak},
            base_urls={"strong": base_url, "weak": base_url},
            prices={},
            key_variable=KEY_VARIABLE,
        )

    def to_toml(self, route: Mapping[str, str | float]) -> str:
        """Return the routecast.toml that a user would write for this pair.

        Args:
            route: Settings of the one route beside its two models, by name.
        """
        lines = []
        for name in ("strong", "weak"):
            lines += [
                f"[models.{name}]",
                f"model = {_quote(self.model_names[name])}",
                f"base_url = {_quote(self.base_urls[name])}",
            ]
            if self.key_variable:
                lines.append(f"api_key = {_quote(f'env:{self.key_variable}')}")
            if name in self.prices:
                price = self.prices[name]
                lines.append(f"price = {{ input = {price.input}, output = {price.output} }}")
        lines += [
            "[routes.auto]",
            'strong = "strong"',
            'weak = "weak"',
            *(f"{key} = {_toml(value)}" for key, value in route.items()),
        ]
        return "\n".join(lines) + "\n"


def _toml(value: str | float) -> str:
    return _quote(value) if isinstance(value, str) else repr(value)


def _quote(text: str) -> str:
    """Write a TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if not escaped.isprintable():
        raise ConfigError(f"{text!r} holds control characters; give a plain model name or URL")
    return f'"{escaped}"'
