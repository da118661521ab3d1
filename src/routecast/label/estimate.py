"""What a run will cost, told before it starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from routecast.label.asking import ANSWER_ROLE, Answers, answer_request, verdict_requests
from routecast.label.calls import cost_at_most_usd, request_key
from routecast.label.items import Item
from routecast.label.journal import Journal
from routecast.label.settings import MAX_ANSWER_TOKENS, JudgeSettings
from routecast.label.tokens import TokenCounter
from routecast.upstream.chat import ChatRequest
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.prices import cost_usd

EXPECTED_ANSWER_TOKENS = 400
"""A guess, said beside the figure: chat models write about 300 words unless told otherwise."""

EXPECTED_VERDICT_TOKENS = 150
"""A guess likewise: five sentences and a verdict. A judge that reasons aloud takes more."""


@dataclass
class ModelEstimate:
    """The calls that one model is still to get.

    Attributes:
        name: The model's name.
        n_calls: How many; none for what the journal holds already.
        n_input_tokens: Of all prompts, by the counter.
        n_output_tokens: Of all answers, by the stated guess.
        cost_usd: What they come to; None when the model has no price.
        at_most_usd: The same calls with input and output at their upper bounds; without repeats
            of failed calls and unreadable verdicts. None likewise.
    """

    name: str
    n_calls: int = 0
    n_input_tokens: int = 0
    n_output_tokens: int = 0
    cost_usd: float | None = None
    at_most_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The calls that a run is still to make.

    Attributes:
        models: By model, in the order strong, weak, judge; only those to be called.
        rule: How tokens were counted, in words.
        spent_usd: What earlier runs with this journal spent.
    """

    models: tuple[ModelEstimate, ...]
    rule: str
    spent_usd: float

    @property
    def n_calls(self) -> int:
        """All calls still to be made, if none has to be repeated."""
        return sum(model.n_calls for model in self.models)

    @property
    def cost_usd(self) -> float | None:
        """What they are expected to cost; None when a model that is called has no price."""
        return _sum([model.cost_usd for model in self.models if model.n_calls])

    @property
    def at_most_usd(self) -> float | None:
        """What they can cost at most; None likewise."""
        return _sum([model.at_most_usd for model in self.models if model.n_calls])


@dataclass(frozen=True, kw_only=True)
class PlannedCall:
    """A call that is still to be made.

    Attributes:
        model: Name of the model.
        request: What it is asked; where an answer is not known yet, a word stands for it.
        role: As its reply will be remembered.
        n_unknown_answers: How many of the answers in it are not known yet.
    """

    model: str
    request: ChatRequest
    role: str
    n_unknown_answers: int = 0


def estimate_run(
    items: Sequence[Item], settings: JudgeSettings, journal: Journal, counter: TokenCounter
) -> Estimate:
    """Count the calls that are neither in the journal nor spared by given answers.

    Verdicts on answers that nobody has written yet are counted with answers of the expected
    length, and at most with answers at the limit.
    """
    names = dict.fromkeys((settings.strong, settings.weak, settings.judge))
    models = {name: ModelEstimate(name) for name in names if name in settings.endpoints}
    seen: set[str] = set()
    for call in planned_calls(items, settings, journal):
        endpoint = settings.endpoints[call.model]
        key = request_key(endpoint, call.request, role=call.role)
        if key not in seen and journal.find(key) is None:
            seen.add(key)
            _add_call(models[call.model], call, endpoint, counter)
    return Estimate(models=tuple(models.values()), rule=counter.rule, spent_usd=journal.spent_usd)


def planned_calls(
    items: Sequence[Item], settings: JudgeSettings, journal: Journal
) -> Iterator[PlannedCall]:
    """Yield every call that the items need, also those that the journal holds already."""
    for item in items:
        texts = {}
        for name in (settings.strong, settings.weak):
            texts[name] = item.answers.get(name)
            if texts[name] is None:
                call = PlannedCall(model=name, request=answer_request(item), role=ANSWER_ROLE)
                key = request_key(settings.endpoints[name], call.request, role=ANSWER_ROLE)
                reply = journal.find(key)
                texts[name] = reply.text if reply is not None else None
                yield call
        yield from _planned_verdicts(
            item, texts[settings.strong], texts[settings.weak], settings, journal
        )


def _planned_verdicts(
    item: Item, strong: str | None, weak: str | None, settings: JudgeSettings, journal: Journal
) -> Iterator[PlannedCall]:
    unknown = (strong is None, weak is None)
    if settings.mode == "pairwise" and strong is not None and strong == weak:
        return
    answers = Answers(strong="strong" if strong is None else strong, weak=weak or "weak")
    for place, request in enumerate(verdict_requests(item, answers, settings)):
        yield PlannedCall(
            model=settings.judge,
            request=request(journal.form or "schema"),
            role=settings.mode,
            n_unknown_answers=sum(unknown) if settings.mode == "pairwise" else unknown[place],
        )


def _add_call(
    model: ModelEstimate, call: PlannedCall, endpoint: Endpoint, counter: TokenCounter
) -> None:
    is_answer = call.role == ANSWER_ROLE
    n_output = EXPECTED_ANSWER_TOKENS if is_answer else EXPECTED_VERDICT_TOKENS
    n_input = counter.count_request(call.request)
    n_input += call.n_unknown_answers * EXPECTED_ANSWER_TOKENS
    model.n_calls += 1
    model.n_input_tokens += n_input
    model.n_output_tokens += n_output
    if endpoint.price is None:
        return
    expected = cost_usd(endpoint.price, n_input_tokens=n_input, n_output_tokens=n_output)
    longest = cost_usd(
        endpoint.price,
        n_input_tokens=call.n_unknown_answers * MAX_ANSWER_TOKENS,
        n_output_tokens=0,
    )
    model.cost_usd = (model.cost_usd or 0.0) + expected
    model.at_most_usd = (
        (model.at_most_usd or 0.0) + longest + cost_at_most_usd(endpoint, call.request)
    )


def _sum(costs: Sequence[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
