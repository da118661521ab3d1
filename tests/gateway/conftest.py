"""A gateway between two fake upstreams, all on loopback sockets."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import openai
import pytest

from routecast.artifacts import LoadedRouter
from routecast.gateway.app import create_app
from routecast.policy.parse import parse_settings
from routecast.testing import FakeUpstream, serve_on_loopback, serve_upstream
from routecast.types import FloatArray

STRONG_KEY = "sk-upstream-secret"
SETTINGS = """
[models.big]
model = "upstream-big"
base_url = "{big}"
api_key = "env:BIG_KEY"
connect_timeout_s = 1
first_byte_timeout_s = {first_byte_timeout_s}
between_chunks_timeout_s = {between_chunks_timeout_s}
[models.small]
model = "upstream-small"
base_url = "{small}"
[routes.auto]
strong = "big"
weak = "small"
router = "length-like"
threshold = 0.5
[server]
max_body_mib = 12
"""


@dataclass
class WordRouter:
    """Scores 0.9 when the prompt says "hard", else 0.1; may be told to fail."""

    fails: bool = False
    prompts: list[str] = field(default_factory=list)

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        self.prompts += prompts
        if self.fails:
            raise ValueError(f"cannot score {prompts!r}")
        return np.array([0.9 if "hard" in prompt else 0.1 for prompt in prompts])


@dataclass
class Gateway:
    """A running gateway and what stands behind it."""

    address: str
    big: FakeUpstream
    small: FakeUpstream
    router: WordRouter
    http: aiohttp.ClientSession

    @property
    def chat_url(self) -> str:
        return f"{self.address}/v1/chat/completions"

    def client(self) -> openai.AsyncOpenAI:
        """The official client; use it in ``async with``."""
        return openai.AsyncOpenAI(
            base_url=f"{self.address}/v1", api_key="sk-client-secret", max_retries=0
        )


StartGateway = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def start_gateway(
    *,
    big_url: str | None = None,
    first_byte_timeout_s: float = 5.0,
    between_chunks_timeout_s: float = 5.0,
) -> AsyncIterator[Gateway]:
    """Run a gateway and its upstreams; ``big_url`` puts something else behind the big model."""
    big, small, router = FakeUpstream("big"), FakeUpstream("small"), WordRouter()
    loaded = LoadedRouter("length-like", router, None, None, None)
    async with (
        serve_upstream(big) as big_default_url,
        serve_upstream(small) as small_url,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        text = SETTINGS.format(
            big=big_url or big_default_url,
            small=small_url,
            first_byte_timeout_s=first_byte_timeout_s,
            between_chunks_timeout_s=between_chunks_timeout_s,
        )
        settings = parse_settings(text, source="test")
        app = create_app(settings, {"length-like": loaded}, environ={"BIG_KEY": STRONG_KEY})
        async with serve_on_loopback(app) as address:
            yield Gateway(address, big, small, router, http)


@pytest.fixture
def starts_gateway() -> StartGateway:
    """For tests that need other settings than ``gateway``'s."""
    return start_gateway


@pytest.fixture(scope="module")
async def shared_gateway(anyio_backend: str) -> AsyncIterator[Gateway]:
    """A running gateway for all tests of a module; starting and stopping take time."""
    async with start_gateway() as running:
        yield running


@pytest.fixture
def gateway(shared_gateway: Gateway) -> Gateway:
    """A running gateway with one route, ``auto``, that remembers nothing."""
    shared_gateway.big.reset()
    shared_gateway.small.reset()
    shared_gateway.router.prompts.clear()
    shared_gateway.router.fails = False
    return shared_gateway
