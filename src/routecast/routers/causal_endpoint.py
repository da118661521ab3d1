"""A causal LM behind an OpenAI-compatible endpoint: the instruction is sent, the label comes back.

Zero-shot with labels that every vocabulary has (A, B, C), or a served fine-tune with its own. Not
the answer's text counts but the probabilities of its first token, see `routers.causal_chances`.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np

from routecast.embed.protocol import Cut
from routecast.embed.wordpiece import without_surrogates
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.binding import refuse_overlap
from routecast.routers.causal_asking import Asking, ask_all
from routecast.routers.causal_chances import label_logprobs, seen_labels, split_label
from routecast.routers.causal_labels import LabelSet, find_labels
from routecast.routers.causal_template import Template
from routecast.routers.stored_model import StoredModel
from routecast.types import AnyArray, FloatArray
from routecast.upstream.apis import Api
from routecast.upstream.chat import ChatTimeouts
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.first_token import FirstTokenRequest, TokenChance
from routecast.upstream.retry import RetryPolicy

N_REMEMBERED: Final = 100_000
"""Prompts whose answer is kept while the router lives, so that none is paid for twice."""


MIN_TO_JUDGE: Final = 10
"""Fewest prompts of one call after which a model without any label is refused."""

MAX_AT_ONCE: Final = 256
"""Requests under way, at most, whatever an artifact says."""

MAX_TIMEOUT_S: Final = 3600.0
MAX_ATTEMPTS: Final = 10

_N_MARK_BYTES: Final = 32


@dataclass(frozen=True, kw_only=True)
class EndpointQuestion:
    """How an endpoint is asked.

    Attributes:
        labels: What it chooses from; one token each in its vocabulary.
        template: The instruction.
        api: ``CHAT``, whose server adds its chat template, or ``COMPLETIONS``, which takes the text
            as it is and suits a fine-tune.
        n_top: Tokens whose probabilities are asked for.
        max_chars: Characters that are sent of a query; of a longer one, head and tail.
    """

    labels: LabelSet
    template: Template
    api: Api
    n_top: int
    max_chars: int

    def request(self, query: str) -> FirstTokenRequest:
        """Return what to send for a query."""
        kept = query
        if len(query) > self.max_chars:
            n_tail = self.max_chars // 2
            kept = f"{query[: self.max_chars - n_tail]} {query[len(query) - n_tail :]}"
        kept = kept if kept.isascii() else without_surrogates(kept)
        return FirstTokenRequest(text=self.template.fill(kept), api=self.api, n_top=self.n_top)


@dataclass(frozen=True, eq=False)
class EndpointClassifier:
    """A configured endpoint; nothing of it is trained.

    Attributes:
        endpoint: Where it is, with its key.
        question: How it is asked.
        asking: How patiently.
    """

    endpoint: Endpoint
    question: EndpointQuestion
    asking: Asking

    @classmethod
    def configured(cls, settings: Mapping[str, Any], endpoint: Endpoint) -> Self:
        """Take how to ask from settings by name, those of a manifest or of training.

        Args:
            settings: ``model``, ``api``, ``labels``, ``good_grade``, ``instruction`` (prefix and
                suffix), ``n_top``, ``max_chars``, ``n_at_once``, ``timeout_s`` and
                ``n_attempts``.
            endpoint: Where to ask, and with which key; its model is that of the settings.

        Raises:
            ArtifactError: If one is missing or unusable.
        """
        try:
            prefix, suffix = settings["instruction"]
            question = EndpointQuestion(
                labels=find_labels(str(settings["labels"]), good_grade=settings["good_grade"]),
                template=Template(prefix, suffix),
                api=Api(settings["api"]),
                n_top=int(settings["n_top"]),
                max_chars=int(settings["max_chars"]),
            )
            timeout_s = min(MAX_TIMEOUT_S, float(settings["timeout_s"]))
            asking = Asking(
                n_at_once=min(MAX_AT_ONCE, int(settings["n_at_once"])),
                timeouts=ChatTimeouts(
                    connect_s=min(10.0, timeout_s), read_s=timeout_s, total_s=timeout_s
                ),
                retry=RetryPolicy(n_attempts=min(MAX_ATTEMPTS, int(settings["n_attempts"]))),
            )
            model = str(settings["model"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the settings of a causal endpoint are unusable: {error!r}; train it again"
            ) from None
        return cls(endpoint=replace(endpoint, model=model), question=question, asking=asking)


class BoundEndpoint:
    """Turns prompts into win probabilities by asking. Safe to share between threads.

    Equal prompts are asked about once while the router lives. It waits for the network: in an event
    loop, call it from a thread.
    """

    def __init__(self, classifier: EndpointClassifier) -> None:
        """Serve an endpoint."""
        self._classifier = classifier
        self._lock = threading.Lock()
        self._known: dict[bytes, FloatArray] = {}
        self.seen: Counter[str] = Counter()

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in [0, 1].

        NaN where no label is among the tokens that came back.

        Raises:
            ConfigError: If the model gives no log-probabilities, or none of 10 prompts or more is
                answered by a label as a single token; the message says what to do.
            UpstreamError: If the endpoint fails for good.
        """
        labels = self._classifier.question.labels
        return labels.win_probabilities(self.label_logprobs(prompts))

    def label_logprobs(self, prompts: Sequence[str]) -> FloatArray:
        """Return the labels' log-probabilities, shape (n_prompts, n_labels); NaN where unknown."""
        marks = [_mark(prompt) for prompt in prompts]
        by_mark = dict(zip(marks, prompts, strict=True))
        with self._lock:
            found = {mark: self._known[mark] for mark in by_mark if mark in self._known}
        wanted = [mark for mark in by_mark if mark not in found]
        fresh = dict(zip(wanted, self._ask([by_mark[mark] for mark in wanted]), strict=True))
        self._keep(fresh)
        rows = [fresh[mark] if mark in fresh else found[mark] for mark in marks]
        n_labels = len(self._classifier.question.labels.tokens)
        return np.array(rows, dtype=np.float64).reshape(len(prompts), n_labels)

    def answers(self) -> tuple[AnyArray, FloatArray]:
        """Return what is known: digests of prompts, shape (n, 32), and label log-probabilities."""
        with self._lock:
            known = dict(self._known)
        n_labels = len(self._classifier.question.labels.tokens)
        marks = np.frombuffer(b"".join(known), dtype=np.uint8).reshape(len(known), _N_MARK_BYTES)
        return marks, np.array(list(known.values())).reshape(len(known), n_labels)

    def remember(self, marks: AnyArray, logprobs: FloatArray) -> None:
        """Take what `answers` gave, so that these prompts are not asked about again."""
        self._keep({mark.tobytes(): row for mark, row in zip(marks, logprobs, strict=True)})

    def _keep(self, found: Mapping[bytes, FloatArray]) -> None:
        with self._lock:
            self._known |= found
            while len(self._known) > N_REMEMBERED:
                del self._known[next(iter(self._known))]

    def cut(self, text: str) -> Cut:
        """Say what is left out of the middle of a long prompt; tokens are the server's affair."""
        return Cut(n_characters=max(0, len(text) - self._classifier.question.max_chars), n_tokens=0)

    def _ask(self, prompts: Sequence[str]) -> list[FloatArray]:
        if not prompts:
            return []
        one = self._classifier
        requests = [one.question.request(prompt) for prompt in prompts]
        answers = ask_all(one.endpoint, requests, asking=one.asking)
        self._check_labels(answers)
        return [label_logprobs(answer, one.question.labels.tokens) for answer in answers]

    def _check_labels(self, answers: Sequence[tuple[TokenChance, ...]]) -> None:
        """Refuse a model that has never yet answered with a label as a single token.

        One prompt may go wrong with any model, so fewer than `MIN_TO_JUDGE` say nothing.
        """
        labels = self._classifier.question.labels.tokens
        for answer in answers:
            self.seen.update(seen_labels(answer, labels))
        if self.seen or len(answers) < MIN_TO_JUDGE:
            return
        who = f"model {self._classifier.endpoint.name!r}"
        broken = next((split for one in answers if (split := split_label(one, labels))), None)
        if broken is not None:
            raise ConfigError(
                f"label {broken!r} is no single token of {who}, which answers with its beginning; "
                "choose labels that are: letters, or those that the served model was tuned with"
            )
        raise ConfigError(
            f"{who} answers with none of the labels {list(labels)!r} among its "
            f"{self._classifier.question.n_top} most probable tokens; check that it follows the "
            "instruction, that thinking is off, and that a served fine-tune is asked by "
            "api=completions with its own labels and template"
        )


_WHERE: Final = (
    "give --endpoint URL (and --endpoint-key env:NAME) on the command line, or router_endpoint = "
    "'NAME' in routecast.toml, with base_url and api_key in [models.NAME]"
)


def rebuild(stored: StoredModel) -> BoundEndpoint:
    """Turn what an artifact holds into a router; the endpoint is not asked yet.

    Raises:
        ArtifactError: If a setting is missing, or the artifact names an endpoint or a key itself.
        ConfigError: If the user named no endpoint.
    """
    refuse_overlap(stored.strong, stored.weak)
    if named := sorted({"url", "base_url", "api_key"} & stored.settings.keys()):
        raise ArtifactError(
            f"the router's folder names an endpoint or a key (settings {named!r}); whoever made it "
            "would get your key and your prompts, so it is not used: train it again and say where "
            f"to ask when you use it: {_WHERE}"
        )
    if stored.endpoint is None:
        raise ConfigError(
            f"the router asks the model {stored.settings.get('model')!r}, and its folder does not "
            f"say where; {_WHERE}"
        )
    return BoundEndpoint(EndpointClassifier.configured(stored.settings, stored.endpoint))


def _mark(prompt: str) -> bytes:
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()
