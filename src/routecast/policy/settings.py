"""routecast.toml: what may stand in it, and a message for whatever may not.

The descriptions below are the reference that users read. Reading the file and the secrets is the
caller's: nothing here touches disk, network or environment.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from routecast.policy.goals import GOAL_NAMES, Goal
from routecast.upstream.secrets import ACCEPTED, is_secret_reference

DEFAULT_PORT = 6060
"""The port of ``routellm``'s server, so that its clients find this one unchanged."""


def _check_reference(value: str) -> str:
    if not is_secret_reference(value):
        raise ValueError(f"a secret must not be written out; accepted: {ACCEPTED}")
    return value


def _check_base_url(value: str) -> str:
    parts = urlsplit(value)
    if "@" in parts.netloc:
        raise ValueError("a URL must not hold a user name or password; use api_key")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("accepted: an http:// or https:// URL such as https://api.openai.com/v1")
    if parts.query or parts.fragment:
        raise ValueError("accepted: a URL without '?' and '#'")
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ValueError("leave '/chat/completions' off; accepted: the part before it")
    return value


class _Table(BaseModel):
    """A TOML table: unknown keys are refused, and nothing is converted silently."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


class PriceSettings(_Table):
    """What a model costs."""

    input: float = Field(ge=0)
    """US dollars per million tokens of the prompt."""

    output: float = Field(ge=0)
    """US dollars per million tokens of the answer."""


class ModelSettings(_Table):
    """One upstream model; clients may ask for it by its table's name, without routing."""

    model: str = Field(min_length=1)
    """The name that the upstream knows the model by."""

    base_url: Annotated[str, AfterValidator(_check_base_url)]
    """The upstream's OpenAI-compatible address, up to and with the version."""

    api_key: Annotated[str, AfterValidator(_check_reference)] | None = None
    """Where the upstream's key is: env:NAME or file:PATH; leave it out where none is needed."""

    price: PriceSettings | None = None
    """US dollars per million tokens, for every figure in dollars."""


class RouteSettings(_Table):
    """One route; clients ask for it as if it were a model."""

    strong: str
    """The model for prompts that need it, by its name in [models]."""

    weak: str
    """The model for all other prompts, by its name in [models]."""

    router: str = Field(default="default", min_length=1)
    """What scores the prompts: default, random, length, or a trained router's folder."""

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

    on_router_error: Literal["strong", "weak"] = "strong"
    """Who answers when the router fails, abstains, or the request holds no text to score."""

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
        return self

    @property
    def goal(self) -> Goal:
        """The one goal that is set."""
        (goal,) = [
            Goal(name, value) for name in GOAL_NAMES if (value := getattr(self, name)) is not None
        ]
        return goal


class ServerSettings(_Table):
    """How the gateway listens and how long it waits."""

    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    """The port on 127.0.0.1; 0 takes any free one."""

    max_body_mib: int = Field(default=32, ge=1, le=1024)
    """The largest request body, in MiB; a larger one is refused with status 413."""

    connect_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds until an upstream must have accepted the connection."""

    first_byte_timeout_s: float = Field(default=600.0, gt=0)
    """Seconds until an upstream must have begun to answer, once the request is sent."""

    between_chunks_timeout_s: float = Field(default=300.0, gt=0)
    """Seconds that an upstream may be silent in the middle of an answer."""

    total_timeout_s: float = Field(default=3600.0, gt=0)
    """Seconds that one answer may take in all."""


def _check_name(value: str) -> str:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("accepted: a name of printable ASCII without spaces")
    return value


Name = Annotated[str, AfterValidator(_check_name)]


class Settings(_Table):
    """All of routecast.toml."""

    models: dict[Name, ModelSettings] = Field(min_length=1)
    """The upstream models, one table each."""

    routes: dict[Name, RouteSettings] = {}
    """The routes between them, one table each."""

    server: ServerSettings = ServerSettings()
    """How the gateway listens and how long it waits."""
