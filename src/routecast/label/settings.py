"""What one judging run asks, and of whom."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from routecast.errors import ConfigError
from routecast.label.templates import TEMPLATES_DIGEST
from routecast.policy.settings import Settings
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint

Mode = Literal["pairwise", "grade"]

MAX_ANSWER_TOKENS = 4096
"""Where a generated answer is cut off, hidden reasoning included."""

MAX_VERDICT_TOKENS = 4096
"""Where a verdict is cut off; a short explanation needs 200, a judge that reasons far more."""

VERDICT_TEMPERATURE = 0.0
"""Answers are generated at the upstream's own temperature, as users would get them."""


@dataclass(frozen=True, kw_only=True)
class JudgeSettings:
    """The settings that a verdict depends on.

    Attributes:
        strong: Name of the strong model.
        weak: Name of the weak model, another.
        judge: Name of the judge.
        endpoints: The models to call, by name. The judge is always there; strong and weak where
            answers are to be generated.
        mode: ``pairwise`` asks which answer is better, twice; ``grade`` grades each answer once.
        reference_column: Where the reference answers were read from, or None.
    """

    strong: str
    weak: str
    judge: str
    endpoints: Mapping[str, Endpoint]
    mode: Mode = "pairwise"
    reference_column: str | None = None

    def __post_init__(self) -> None:
        """Refuse a comparison of a model with itself."""
        if self.strong == self.weak:
            raise ConfigError(
                f"--strong and --weak are both {self.strong!r}; name two different models"
            )

    def fingerprint(self) -> dict[str, Any]:
        """Return what a journal must have been written with, to be gone on with; no address.

        Models are told by name and by what the upstream calls them: a server may move.
        """
        return {
            "strong": self.strong,
            "weak": self.weak,
            "judge": self.judge,
            "models": {name: endpoint.model for name, endpoint in sorted(self.endpoints.items())},
            "mode": self.mode,
            "reference_column": self.reference_column,
            "templates": TEMPLATES_DIGEST,
            "max_answer_tokens": MAX_ANSWER_TOKENS,
            "max_verdict_tokens": MAX_VERDICT_TOKENS,
            "verdict_temperature": VERDICT_TEMPERATURE,
        }


def only_models(settings: Settings, names: Collection[str]) -> Settings:
    """Return settings with the named models alone, so that no other model's key is looked for.

    Raises:
        ConfigError: If a model is not configured, or does not speak chat, in which all are asked.
    """
    for name in names:
        if name not in settings.models:
            raise ConfigError(
                f"model {name!r} is not configured; choose one of {sorted(settings.models)!r}, "
                f"add [models.{name}], or give its answers in a column {f'answer|{name}'!r}"
            )
        apis = [str(api) for api in settings.models[name].apis]
        if Api.CHAT not in apis:
            raise ConfigError(
                f"model {name!r} has apis = {apis!r}, and labelling asks in chat alone; name "
                f"another model, or add 'chat' to the apis of [models.{name}] if its upstream "
                "speaks it"
            )
    models = {name: model for name, model in settings.models.items() if name in names}
    return settings.model_copy(update={"models": models, "routes": {}})
