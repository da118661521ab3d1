"""Send prompts through a real gateway, before recorded answers or before real models."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from routecast.artifacts import LoadedRouter
from routecast.demo.pair import Pair
from routecast.demo.questions import MODEL_NAMES, PRICES, Question
from routecast.errors import UpstreamError
from routecast.gateway.app import create_app
from routecast.gateway.client_connection import ClientConnection
from routecast.policy.parse import parse_settings
from routecast.testing import FakeUpstream, serve_on_loopback, serve_upstream
from routecast.upstream.prices import cost_usd

REAL_ROUTE: Final = {"strong_share": 0.5}
"""Settings of the route between real models, by the default router."""

UNKNOWN_QUESTION: Final = (
    "This upstream replays recorded answers and is no model; it has none to this prompt."
)


@dataclass(frozen=True, kw_only=True)
class RoutedAnswer:
    """One prompt's answer as it came through the gateway.

    Attributes:
        prompt: As it was sent.
        text: Of the answer.
        model: ``strong`` or ``weak``.
        win_probability: As the gateway's header says; None where it scored nothing.
        threshold: Of win probability, likewise.
        n_input_tokens: As the answering model counted.
        n_output_tokens: Likewise.
    """

    prompt: str
    text: str
    model: str
    win_probability: float | None
    threshold: float
    n_input_tokens: int
    n_output_tokens: int


@dataclass(frozen=True, kw_only=True)
class GradedAnswer:
    """A routed answer to a recorded question.

    Attributes:
        answer: As it came.
        is_right: As the recorded answer was graded.
        cost_usd: US dollars at the paper's price of the model that answered.
    """

    answer: RoutedAnswer
    is_right: bool
    cost_usd: float


@asynccontextmanager
async def serve_recorded(questions: Sequence[Question]) -> AsyncIterator[Pair]:
    """Serve two upstreams that replay the recorded answers, and yield them as a pair."""
    async with AsyncExitStack() as stack:
        base_urls = {}
        for model, name in MODEL_NAMES.items():
            texts = {asked.prompt: asked.answers[model].text for asked in questions}
            upstream = FakeUpstream(name, answer=_replay(texts))
            base_urls[model] = await stack.enter_async_context(serve_upstream(upstream))
        yield Pair.replayed(base_urls)


def _replay(texts: Mapping[str, str]) -> Callable[[dict[str, Any]], str]:
    def answer(request: dict[str, Any]) -> str:
        messages = request.get("messages") or [{}]
        return texts.get(str(messages[-1].get("content")), UNKNOWN_QUESTION)

    return answer


@asynccontextmanager
async def serve_gateway(
    pair: Pair,
    loaded: LoadedRouter,
    route: Mapping[str, str | float],
    *,
    environ: Mapping[str, str],
) -> AsyncIterator[str]:
    """Serve the gateway before a pair of models.

    Args:
        pair: The models.
        loaded: The router.
        route: Settings of the route ``auto``: its goal at least.
        environ: Where the key of a real pair is.

    Yields:
        Its address, for example ``http://127.0.0.1:54321``.
    """
    toml = pair.to_toml({"router": loaded.name, **route})
    settings = parse_settings(toml, source="the demo")
    app = create_app(settings, {loaded.name: loaded}, environ=environ)
    async with serve_on_loopback(app, http=ClientConnection) as address:
        yield address


async def send_prompts(address: str, prompts: Sequence[str]) -> list[RoutedAnswer]:
    """Send each prompt to the route ``auto`` of a gateway, one after the other.

    Raises:
        UpstreamError: If an answer is not a completion.
    """
    async with aiohttp.ClientSession() as session:
        return [await _complete(session, address, prompt) for prompt in prompts]


async def _complete(session: aiohttp.ClientSession, address: str, prompt: str) -> RoutedAnswer:
    request = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
    async with session.post(f"{address}/v1/chat/completions", json=request) as response:
        text = await response.text()
        if response.status != 200:
            raise UpstreamError(
                f"the model answered with status {response.status}: {text[:300]}",
                status=response.status,
            )
        document = await response.json()
    scored = response.headers.get("x-routecast-win-probability")
    return RoutedAnswer(
        prompt=prompt,
        text=document["choices"][0]["message"]["content"] or "",
        model=response.headers["x-routecast-model"],
        win_probability=None if scored is None else float(scored),
        threshold=float(response.headers["x-routecast-threshold"]),
        n_input_tokens=document["usage"]["prompt_tokens"],
        n_output_tokens=document["usage"]["completion_tokens"],
    )


def grade(answers: Sequence[RoutedAnswer], questions: Sequence[Question]) -> list[GradedAnswer]:
    """Grade answers that were replayed against what is known of them, in the same order.

    Raises:
        UpstreamError: If an answer is not the recorded one of its model.
    """
    graded = []
    for answer, asked in zip(answers, questions, strict=True):
        recorded = asked.answers[answer.model]
        if answer.text != recorded.text:
            raise UpstreamError(
                f"{MODEL_NAMES[answer.model]!r} answered {answer.text[:60]!r} to "
                f"{asked.prompt[:60]!r}, which is not its recorded answer, so its grade is unknown"
            )
        cost = cost_usd(
            PRICES[answer.model],
            n_input_tokens=answer.n_input_tokens,
            n_output_tokens=answer.n_output_tokens,
        )
        graded.append(GradedAnswer(answer=answer, is_right=recorded.is_right, cost_usd=cost))
    return graded


async def wait_forever() -> None:
    """Keep the demo up until it is interrupted."""
    await asyncio.Event().wait()
