"""A causal LM behind an endpoint as a family: nothing is fitted, everything is calibrated.

Every label is left for calibration and measuring, because no score knows any of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError, UpstreamError
from routecast.routers.binding import refuse_overlap
from routecast.routers.causal_endpoint import BoundEndpoint, EndpointClassifier
from routecast.routers.causal_labels import GOOD_GRADE, find_labels
from routecast.routers.causal_template import default_template, read_template
from routecast.train.causal_answers import load_answers, save_answers
from routecast.train.pair_labels import labels_between_sides
from routecast.train.registry import Family, Fit, Lesson
from routecast.types import AnyArray, FloatArray
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.secrets import ACCEPTED, is_secret_reference, resolve_secret

_APIS: Final = (str(Api.CHAT), str(Api.COMPLETIONS))
_N_PER_SAVE: Final = 200

MAX_TOP: Final = 20
"""OpenAI and vLLM return no more."""


@dataclass(frozen=True, kw_only=True)
class EndpointSettings:
    """Which endpoint, and how it is asked.

    Attributes:
        url: Up to and with the version: ``http://127.0.0.1:8000/v1``.
        model: As the server knows it.
        api_key: ``env:NAME`` or ``file:PATH``; empty where the server wants none. Neither it nor
            ``url`` is written down: who uses the router names both anew.
        labels: ``letters`` for a model as it is; ``win`` or ``grade`` for a served fine-tune.
        good_grade: With ``grade``, the lowest grade that is good enough.
        api: ``chat``, or ``completions``, which takes the text as it is; a fine-tune wants that.
        template: File with the instruction, ``{query}`` where the query goes; empty for ours.
        n_top: Tokens whose probabilities are asked for.
        max_chars: Characters that are sent of a query; of a longer one, head and tail.
        n_at_once: Requests under way at a time.
        timeout_s: Longest wait for one answer.
        n_attempts: Tries per request, the first included.
        seed: Of no use here.
    """

    url: str = ""
    model: str = ""
    api_key: str = ""
    labels: str = "letters"
    good_grade: int = GOOD_GRADE
    api: str = "chat"
    template: str = ""
    n_top: int = MAX_TOP
    max_chars: int = 16_000
    n_at_once: int = 8
    timeout_s: float = 60.0
    n_attempts: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(
                f"url {self.url!r}; accepted is an http:// or https:// URL up to and with the "
                "version: --set url=http://127.0.0.1:8000/v1"
            )
        if "@" in self.url:
            raise ConfigError("url must hold no user or password; give the key by api_key")
        if not self.model.strip():
            raise ConfigError("model is empty; name it as the server does: --set model=NAME")
        if self.api_key and not is_secret_reference(self.api_key):
            raise ConfigError(f"api_key must not be written out; give {ACCEPTED}")
        if self.api not in _APIS:
            raise ConfigError(f"api {self.api!r}; choose one of {list(_APIS)!r}")
        for name, least in (("n_top", 1), ("max_chars", 100), ("n_at_once", 1), ("n_attempts", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} {getattr(self, name)!r} must be {least} or more")
        if self.n_top > MAX_TOP:
            raise ConfigError(f"n_top {self.n_top!r}; servers return {MAX_TOP} at most")
        if not 0 < self.timeout_s <= 3600:
            raise ConfigError(f"timeout_s {self.timeout_s!r} must be above 0, at most 3600")
        find_labels(self.labels, good_grade=self.good_grade)

    def resolved(self) -> dict[str, Any]:
        """Return the settings, with the two parts of the instruction."""
        template = read_template(self.template) if self.template else default_template(self.labels)
        return {**asdict(self), "instruction": [template.prefix, template.suffix]}


def fit_lesson(lesson: Lesson, settings: EndpointSettings) -> Fit:
    """Ask the endpoint about the labelled training prompts; their labels are not looked at.

    Answers are kept in the lesson's checkpoint, 200 by 200.

    Raises:
        ConfigError: If the key is missing, the model gives no log-probabilities, or its answers
            are no labels.
        UpstreamError: If the endpoint fails for good.
    """
    resolved = settings.resolved()
    key = resolve_secret(settings.api_key, lesson.environ) if settings.api_key else None
    endpoint = Endpoint(
        name=settings.model, model=settings.model, base_url=settings.url, api_key=key
    )
    classifier = EndpointClassifier.configured(resolved, endpoint)
    rows = labels_between_sides(lesson, lesson.training).rows
    scores = np.full(len(lesson.prompts), np.nan)
    router = BoundEndpoint(classifier)
    path = lesson.checkpoint
    if path is not None:
        load_answers(router, path, resolved)
    for start in range(0, len(rows), _N_PER_SAVE):
        block = rows[start : start + _N_PER_SAVE]
        scores[block] = _ask(router, [lesson.prompts[row] for row in block.tolist()])
        if path is not None:
            save_answers(router, path, resolved)
    record: Mapping[str, Any] = {
        "instruction": resolved["instruction"],
        "n_abstained": int(np.isnan(scores[rows]).sum()),
        "labels_seen": {label: router.seen[label] for label in classifier.question.labels.tokens},
    }
    return Fit(
        model=_Asked(router),
        validation_loss=float("nan"),
        record=record,
        cross_fitted=scores,
        by_fold=scores,  # an endpoint knows no label
    )


def _ask(router: BoundEndpoint, prompts: Sequence[str]) -> FloatArray:
    try:
        return router.win_probabilities(prompts)
    except UpstreamError as error:
        raise UpstreamError(
            f"{error}; `routecast train` keeps the answers so far: run the same command with "
            "--resume to go on",
            status=error.status,
        ) from error


@dataclass(frozen=True, eq=False)
class _Asked:
    """The router that was asked already, so that its answers are not paid for again."""

    router: BoundEndpoint

    def bind(
        self,
        *,
        strong: Sequence[str],
        weak: Sequence[str],
        embedder: Embedder,  # noqa: ARG002 (it reads texts)
    ) -> BoundEndpoint:
        refuse_overlap(strong, weak)
        return self.router

    def tensors(self) -> dict[str, AnyArray]:
        return {}


FAMILY = Family(
    name="causal-endpoint",
    settings=EndpointSettings,
    fit=fit_lesson,
    cross_fits=True,
    private=("url", "api_key", "template"),
)
