"""``[routes.NAME]``: between which two models, by which router, towards which goal."""

from typing import Literal, Self

from pydantic import Field, model_validator

from routecast.policy.abstaining import DEFAULT_ON_ROUTER_ERROR, OnRouterError
from routecast.policy.goals import GOAL_NAMES, Goal
from routecast.policy.table import Table

TextChoice = Literal["last_user", "user_turns", "all_turns"]
Override = Literal["threshold", "strong_share", "force"]


class RouteSettings(Table):
    """One route; clients ask for it as if it were a model."""

    strong: str
    """The model for prompts that need it, by its name in [models]."""

    weak: str
    """The model for all other prompts, by its name in [models]."""

    router: str = Field(default="default", min_length=1)
    """What scores the prompts: default, random, length, or a trained router's folder; relative
    folders begin at the settings file's own."""

    router_endpoint: str | None = Field(default=None, min_length=1)
    """The model that a router of the family causal-endpoint asks, by its name in [models]; a
    router's folder never says where that is, or with which key."""

    router_embedder: str | None = Field(default=None, min_length=1)
    """The embedder that the router was trained on, where that was not static:
    sentence:ID_OR_FOLDER. Relative folders begin at the settings file's own."""

    strong_share: float | None = Field(default=None, ge=0, le=1)
    """The goal: the share of requests that should go to the strong model, on the router's
    calibration sample."""

    threshold: float | None = Field(default=None, ge=0, le=1)
    """The goal, spelt out: the win probability from which a prompt goes to the strong model."""

    tie_share: float | None = Field(default=None, gt=0, le=1)
    """With threshold: of the prompts that score exactly the threshold, the share that goes to the
    strong model; all of them if left out. routecast calibrate says where it matters."""

    budget_usd_per_1k: float | None = Field(default=None, ge=0)
    """The goal: US dollars that 1,000 requests may cost on average, on the router's calibration
    sample; it needs a router calibrated with costs."""

    min_quality: float | None = Field(default=None, gt=0)
    """The goal: the mean quality of the answers as a share of the strong model's, such as 0.95; it
    needs a router calibrated with outcomes."""

    on_router_error: OnRouterError = DEFAULT_ON_ROUTER_ERROR
    """Who answers when the router fails, abstains, is late, or there is no text to score. Goals
    count the prompts of the calibration sample on which the router abstained so."""

    text: TextChoice = "last_user"
    """What the router reads: last_user (the last user message), user_turns (all of them), or
    all_turns (the system prompt and every turn)."""

    sticky: bool = False
    """Whether to read the first user message instead, so that a conversation keeps its model, and
    with it the upstream's prompt cache."""

    fallback: tuple[str, ...] | None = Field(default=None, strict=False)
    """Who is asked, in this order, when the chosen model fails before it has answered anything:
    strong, weak, or names in [models]. The other model of the pair if left out, nobody if []."""

    overrides: tuple[Override, ...] = Field(
        default=("threshold", "strong_share", "force"), strict=False
    )
    """Which of the request headers x-routecast-threshold, x-routecast-strong-share and
    x-routecast-force clients may use; a request with any other of them is refused."""

    router_timeout_ms: float = Field(default=250.0, gt=0)
    """Milliseconds that the router may take for one prompt, before on_router_error applies."""

    @model_validator(mode="after")
    def _check_goal(self) -> Self:
        given = [name for name in GOAL_NAMES if getattr(self, name) is not None]
        if len(given) != 1:
            named = f"; it sets {' and '.join(given)}" if given else ""
            raise ValueError(f"set exactly one goal: {', '.join(GOAL_NAMES)}{named}")
        if self.tie_share is not None and self.threshold is None:
            raise ValueError("tie_share belongs to threshold; other goals find their own")
        if self.strong == self.weak:
            raise ValueError(f"strong and weak are both {self.strong!r}; name two models")
        if self.sticky and self.text != "last_user":
            raise ValueError("sticky reads the first user message; leave text out beside it")
        return self

    @property
    def goal(self) -> Goal:
        """The one goal that is set."""
        (goal,) = [
            Goal(name, value) for name in GOAL_NAMES if (value := getattr(self, name)) is not None
        ]
        return goal

    @property
    def fallback_models(self) -> list[str]:
        """Names in [models] to try after the chosen one, roles resolved; it may be among them."""
        roles = {"strong": self.strong, "weak": self.weak}
        chain = ("strong", "weak") if self.fallback is None else self.fallback
        return [roles.get(name, name) for name in chain]
