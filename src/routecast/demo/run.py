"""Send the demo's prompts through a real gateway, and say what came of it."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from routecast.artifacts import LoadedRouter
from routecast.demo.pair import Pair
from routecast.demo.prompts import PROMPTS
from routecast.errors import UpstreamError
from routecast.gateway.app import create_app
from routecast.gateway.client_connection import ClientConnection
from routecast.policy.parse import parse_settings
from routecast.testing import FakeUpstream, serve_on_loopback, serve_upstream
from routecast.upstream.prices import Price, cost_usd

STRONG_SHARE = 0.5
SIMULATED_LATENCY_S = 0.02


@dataclass(frozen=True, kw_only=True)
class RoutedPrompt:
    """One prompt and what became of it.

    Attributes:
        prompt: Its text.
        model: ``strong`` or ``weak``.
        win_probability: As the gateway's header says; None where it scored nothing.
        n_input_tokens: As the answering model counted.
        n_output_tokens: Likewise.
        elapsed_s: Through the gateway, request to whole answer.
        direct_s: The same request to the same model without the gateway; None when not tried.
    """

    prompt: str
    model: str
    win_probability: float | None
    n_input_tokens: int
    n_output_tokens: int
    elapsed_s: float
    direct_s: float | None


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """All prompts, and the sums that a bill payer asks for.

    Attributes:
        rows: In the order sent.
        threshold: Of win probability.
        strong_share_asked: The goal that the threshold was read for.
        calibration_sample: What it was read from, in words.
        prices: Of ``strong`` and ``weak``; empty when nobody stated them.
    """

    rows: tuple[RoutedPrompt, ...]
    threshold: float
    strong_share_asked: float
    calibration_sample: str | None
    prices: Mapping[str, Price]

    @property
    def strong_share(self) -> float:
        """Share of prompts that the strong model answered, in [0, 1]."""
        return sum(row.model == "strong" for row in self.rows) / len(self.rows)

    @property
    def cost_usd(self) -> float | None:
        """What the routed answers cost; None without prices."""
        return self._cost_usd(None)

    @property
    def all_strong_cost_usd(self) -> float | None:
        """What the same tokens would have cost at the strong model's price; None without prices."""
        return self._cost_usd("strong")

    @property
    def added_latency_ms(self) -> float | None:
        """Median of gateway time less direct time; None when nothing was sent directly."""
        added = [row.elapsed_s - row.direct_s for row in self.rows if row.direct_s is not None]
        return 1e3 * statistics.median(added) if added else None

    def _cost_usd(self, model: str | None) -> float | None:
        """Sum over all rows, at one model's price or at each row's own."""
        if not self.prices:
            return None
        return sum(
            cost_usd(
                self.prices[model or row.model],
                n_input_tokens=row.n_input_tokens,
                n_output_tokens=row.n_output_tokens,
            )
            for row in self.rows
        )


@dataclass(frozen=True)
class RunningDemo:
    """A gateway with its upstreams, up and answering.

    Attributes:
        address: Of the gateway, for example ``http://127.0.0.1:54321``.
        upstreams: Base URLs of ``strong`` and ``weak`` where they may be called directly.
    """

    address: str
    upstreams: Mapping[str, str]


@asynccontextmanager
async def running_demo(
    pair: Pair | None, loaded: LoadedRouter, *, environ: Mapping[str, str]
) -> AsyncIterator[RunningDemo]:
    """Serve the gateway, before two simulated upstreams or before a real pair.

    Args:
        pair: Real models to use, or None for simulated ones.
        loaded: The router.
        environ: Where the real pair's key is.
    """
    async with AsyncExitStack() as stack:
        upstreams: dict[str, str] = {}
        if pair is None:
            for name in ("strong", "weak"):
                fake = FakeUpstream(f"simulated-{name}", latency_s=SIMULATED_LATENCY_S)
                upstreams[name] = await stack.enter_async_context(serve_upstream(fake))
            pair = Pair.simulated(upstreams)
        settings = parse_settings(pair.to_toml(strong_share=STRONG_SHARE), source="the demo")
        app = create_app(settings, {"default": loaded}, environ=environ)
        address = await stack.enter_async_context(serve_on_loopback(app, http=ClientConnection))
        yield RunningDemo(address, upstreams)


async def send_prompts(
    demo: RunningDemo,
    *,
    prices: Mapping[str, Price],
    calibration_sample: str | None,
    prompts: tuple[str, ...] = PROMPTS,
) -> DemoReport:
    """Send each prompt through the gateway, one after the other.

    Where the upstreams may be called directly, each prompt is also sent straight to the model
    that was chosen, so that the gateway's own time can be told.

    Raises:
        UpstreamError: If an answer is not a completion.
    """
    rows: list[RoutedPrompt] = []
    threshold = 0.0
    async with aiohttp.ClientSession() as session:
        await _warm_up(session, demo)
        for prompt in prompts:
            headers, usage, elapsed_s = await _complete(
                session, f"{demo.address}/v1/chat/completions", "auto", prompt
            )
            model = headers["x-routecast-model"]
            direct_s = None
            if model in demo.upstreams:
                url = f"{demo.upstreams[model]}/chat/completions"
                _, _, direct_s = await _complete(session, url, f"simulated-{model}", prompt)
            scored = headers.get("x-routecast-win-probability")
            threshold = float(headers["x-routecast-threshold"])
            rows.append(
                RoutedPrompt(
                    prompt=prompt,
                    model=model,
                    win_probability=None if scored is None else float(scored),
                    n_input_tokens=usage["prompt_tokens"],
                    n_output_tokens=usage["completion_tokens"],
                    elapsed_s=elapsed_s,
                    direct_s=direct_s,
                )
            )
    return DemoReport(
        rows=tuple(rows),
        threshold=threshold,
        strong_share_asked=STRONG_SHARE,
        calibration_sample=calibration_sample,
        prices=prices,
    )


async def _warm_up(session: aiohttp.ClientSession, demo: RunningDemo) -> None:
    """Open the connections, so that the first prompt does not pay for them."""
    for url in (
        f"{demo.address}/v1/models",
        *(f"{base}/models" for base in demo.upstreams.values()),
    ):
        async with session.get(url) as response:
            await response.read()
    for name in demo.upstreams:
        await _complete(session, f"{demo.address}/v1/chat/completions", name, "warm-up")


async def _complete(
    session: aiohttp.ClientSession, url: str, model: str, prompt: str
) -> tuple[Mapping[str, str], Mapping[str, int], float]:
    """Return the answer's headers, its token usage, and the seconds that it took."""
    request = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    start_s = time.perf_counter()
    async with session.post(url, json=request) as response:
        text = await response.text()
        elapsed_s = time.perf_counter() - start_s
        if response.status != 200:
            raise UpstreamError(
                f"the model answered with status {response.status}: {text[:300]}",
                status=response.status,
            )
        answer = await response.json()
    return response.headers, answer["usage"], elapsed_s


async def wait_forever() -> None:
    """Keep the demo up until it is interrupted."""
    await asyncio.Event().wait()
