"""The requests of one item: two answers, two verdicts or two grades."""

from collections.abc import Callable
from dataclasses import dataclass

from routecast.label.items import Item
from routecast.label.settings import (
    MAX_ANSWER_TOKENS,
    MAX_VERDICT_TOKENS,
    VERDICT_TEMPERATURE,
    JudgeSettings,
)
from routecast.label.templates import (
    GRADE_SCHEMA,
    PREFERENCE_SCHEMA,
    ReplyForm,
    grade_messages,
    preference_messages,
    with_reminder,
)
from routecast.upstream.chat import ChatRequest, Message

ANSWER_ROLE = "answer"
"""What the strong and the weak model are asked for; the judge's role is the mode's name."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The two texts that are judged.

    Attributes:
        strong: The strong model's.
        weak: The weak model's.
    """

    strong: str
    weak: str


VerdictRequest = Callable[[ReplyForm], ChatRequest]
"""A question to the judge, in either form of reply."""


def answer_request(item: Item) -> ChatRequest:
    """Return the request that has a model answer the prompt."""
    return ChatRequest(messages=item.messages, max_output_tokens=MAX_ANSWER_TOKENS)


def verdict_requests(
    item: Item, answers: Answers, settings: JudgeSettings
) -> tuple[VerdictRequest, VerdictRequest]:
    """Return the two questions to the judge.

    Pairwise, the strong model's answer stands first in the first one and second in the second.
    With grades, the first one is about the strong model's answer.
    """
    if settings.mode == "grade":
        return _grade(item, answers.strong), _grade(item, answers.weak)
    return (
        _preference(item, answers.strong, answers.weak),
        _preference(item, answers.weak, answers.strong),
    )


def reminded(request: ChatRequest) -> ChatRequest:
    """Return the request once more, with a reminder to keep to the form."""
    return ChatRequest(
        messages=with_reminder(request.messages),
        max_output_tokens=request.max_output_tokens,
        temperature=request.temperature,
        json_schema=request.json_schema,
    )


def _preference(item: Item, answer_a: str, answer_b: str) -> VerdictRequest:
    def build(form: ReplyForm) -> ChatRequest:
        messages = preference_messages(
            item.request,
            answer_a=answer_a,
            answer_b=answer_b,
            reference=item.reference,
            form=form,
        )
        return _verdict(messages, form, grade=False)

    return build


def _grade(item: Item, answer: str) -> VerdictRequest:
    def build(form: ReplyForm) -> ChatRequest:
        messages = grade_messages(item.request, answer=answer, reference=item.reference, form=form)
        return _verdict(messages, form, grade=True)

    return build


def _verdict(messages: tuple[Message, ...], form: ReplyForm, *, grade: bool) -> ChatRequest:
    schema = GRADE_SCHEMA if grade else PREFERENCE_SCHEMA
    return ChatRequest(
        messages=messages,
        max_output_tokens=MAX_VERDICT_TOKENS,
        temperature=VERDICT_TEMPERATURE,
        json_schema=schema if form == "schema" else None,
    )
