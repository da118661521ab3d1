"""A gateway between two fake upstreams, all on loopback sockets."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import anyio
import numpy as np
import openai
import pytest

from routecast.artifacts import LoadedRouter
from routecast.gateway import plan
from routecast.gateway.app import create_app
from routecast.gateway.client_connection import ClientConnection
from routecast.policy.parse import parse_settings
from routecast.testing import FakeUpstream, serve_on_loopback, serve_upstream
from routecast.types import FloatArray

STRONG_KEY = "sk-upstream-secret"
HARD = b'{"model":"auto","messages":[{"role":"user","content":"hard"}]}'
PATIENT = "breaker_failures = 1000\nretry_budget = 1.0"
SETTINGS = """
[models.big]
model = "upstream-big"
base_url = "{big}"
api_key = "env:BIG_KEY"
connect_timeout_s = 1
first_byte_timeout_s = {first_byte_timeout_s}
between_chunks_timeout_s = {between_chunks_timeout_s}
retries = {retries}
{big_settings}
[models.small]
model = "upstream-small"
base_url = "{small}"
[routes.auto]
strong = "big"
weak = "small"
router = "length-like"
threshold = 0.5
fallback = {fallback}
{route_settings}
[server]
max_body_mib = 12
{server_settings}
"""


@dataclass
class WordRouter:
    """Scores 0.9 when the prompt says "hard", else 0.1; may be told to fail, or to wait."""

    fails: bool = False
    is_heavy: bool = False
    n_batches: int = 0
    prompts: list[str] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        self.prompts += prompts
        self.n_batches += 1
        if self.is_heavy:
            time.sleep(0.01)  # so long that it never scores on the loop
        assert self.may_answer.wait(30)
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

    async def ask(self, body: bytes = HARD) -> tuple[int, bytes, str]:
        """Return the answer's status, body and the model that gave it, "" if none did."""
        async with self.http.post(self.chat_url, data=body) as answer:
            return answer.status, await answer.read(), answer.headers.get("x-routecast-model", "")

    def client(self) -> openai.AsyncOpenAI:
        """The official client; use it in ``async with``."""
        return openai.AsyncOpenAI(
            base_url=f"{self.address}/v1", api_key="sk-client-secret", max_retries=0
        )


StartGateway = Callable[..., AbstractAsyncContextManager[Gateway]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
AnsweringWith = Callable[[bytes], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def start_gateway(
    *,
    big_url: str | None = None,
    first_byte_timeout_s: float = 5.0,
    between_chunks_timeout_s: float = 5.0,
    retries: int = 0,
    fallback: Sequence[str] = (),
    big_settings: str = "",
    route_settings: str = "",
    server_settings: str = "breaker_failures = 1000",
    is_heavy: bool = False,
) -> AsyncIterator[Gateway]:
    """Run a gateway and its upstreams; ``big_url`` puts something else behind the big model.

    By default it neither retries nor falls back, and its breaker never opens, so that tests which
    share a gateway don't meet one another's faults.
    """
    router = WordRouter(is_heavy=is_heavy)
    big, small = FakeUpstream("big"), FakeUpstream("small")
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
            retries=retries,
            fallback=json.dumps(list(fallback)),
            big_settings=big_settings,
            route_settings=route_settings,
            server_settings=server_settings,
        )
        settings = parse_settings(text, source="test")
        app = create_app(settings, {"length-like": loaded}, environ={"BIG_KEY": STRONG_KEY})
        async with serve_on_loopback(app, http=ClientConnection) as address:
            yield Gateway(address, big, small, router, http)


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="module")
def short_waits() -> Iterator[None]:
    """Let the waits before retries be short; how long they are is tested without a network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "BASE_DELAY_S", 0.01)
        yield


@pytest.fixture(scope="module")
async def shared_retrying(anyio_backend: str, short_waits: None) -> AsyncIterator[Gateway]:
    """One for all tests of a module."""
    async with start_gateway(
        retries=2,
        fallback=["weak"],
        first_byte_timeout_s=0.3,
        between_chunks_timeout_s=0.5,
        server_settings=PATIENT,
    ) as running:
        yield running


@pytest.fixture
def retrying(shared_retrying: Gateway) -> Gateway:
    """Two retries, then the weak model; its breakers never open."""
    shared_retrying.big.reset()
    shared_retrying.small.reset()
    return shared_retrying


@pytest.fixture(scope="module")
async def shared_lively(anyio_backend: str) -> AsyncIterator[Gateway]:
    """One for all tests of a module."""
    settings = f"keep_alive_s = 0.1\n{PATIENT}"
    async with start_gateway(
        fallback=["weak"], first_byte_timeout_s=2.0, server_settings=settings
    ) as running:
        yield running


@pytest.fixture
def lively(shared_lively: Gateway) -> Gateway:
    """Sends a comment after 0.1 s of silence in a stream."""
    shared_lively.big.reset()
    shared_lively.small.reset()
    return shared_lively


async def _wait_until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(3):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.01)


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Wait for something that must happen soon, and that no event announces."""
    return _wait_until


@asynccontextmanager
async def _answer_with(content: bytes) -> AsyncIterator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        writer.write(content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.fixture(scope="session")
def answering_with() -> AnsweringWith:
    """Serve an upstream that answers each connection with these bytes; yields its base URL."""
    return _answer_with


EVERY_API = 'apis = ["chat", "responses", "completions", "messages"]\n'
FULL_SETTINGS = """
[models.big]
model = "upstream-big"
base_url = "{big}"
api_key = "env:BIG_KEY"
retries = 0
{big_settings}
[models.small]
model = "upstream-small"
base_url = "{small}"
api_key = "env:SMALL_KEY"
retries = 0
{small_settings}
[models.embedder]
model = "upstream-embedder"
base_url = "{small}"
apis = ["embeddings"]
[routes.auto]
strong = "big"
weak = "small"
router = "words"
threshold = 0.5
fallback = {chain}
{route_settings}
"""


@asynccontextmanager
async def start_full_gateway(
    *,
    big_settings: str = EVERY_API,
    small_settings: str = EVERY_API,
    route_settings: str = "",
    chain: str = "[]",
) -> AsyncIterator[Gateway]:
    """Run a gateway whose models speak every API, and which neither retries nor falls back."""
    big, small, router = FakeUpstream("big"), FakeUpstream("small"), WordRouter()
    quantiles = np.linspace(0, 1, 1001)
    loaded = LoadedRouter("words", router, quantiles, "a sample", None)
    async with (
        serve_upstream(big) as big_url,
        serve_upstream(small) as small_url,
        aiohttp.ClientSession(auto_decompress=False) as http,
    ):
        text = FULL_SETTINGS.format(
            big=big_url,
            small=small_url,
            big_settings=big_settings,
            small_settings=small_settings,
            chain=chain,
            route_settings=route_settings,
        )
        settings = parse_settings(text, source="test")
        environ = {"BIG_KEY": STRONG_KEY, "SMALL_KEY": "sk-small-secret"}
        app = create_app(settings, {"words": loaded}, environ=environ)
        router.prompts.clear()  # it was timed
        async with serve_on_loopback(app, http=ClientConnection) as address:
            yield Gateway(address, big, small, router, http)


@pytest.fixture(scope="session")
def starts_full_gateway() -> StartGateway:
    """For tests that need other settings than ``full_gateway``'s."""
    return start_full_gateway


@pytest.fixture(scope="module")
async def shared_full_gateway(anyio_backend: str) -> AsyncIterator[Gateway]:
    """One for all tests of a module."""
    async with start_full_gateway() as running:
        yield running


@pytest.fixture
def full_gateway(shared_full_gateway: Gateway) -> Gateway:
    """A running gateway with one route, ``auto``, in every API; it remembers nothing."""
    shared_full_gateway.big.reset()
    shared_full_gateway.small.reset()
    shared_full_gateway.router.prompts.clear()
    return shared_full_gateway
