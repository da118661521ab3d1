"""How much code one request runs through: a figure that does not depend on the machine.

    python benchmarks/path_length.py --output results/path_length.json

Counts, in Routecast's own files alone, the lines executed and the calls into C or other compiled
code, for one prompt scored by the default router, one chat request relayed, and one chunk of a
stream, all over loopback sockets; and the bytes that scoring allocates at its peak. A test counts
again and fails when a figure has grown by more than a tenth: someone made the hot path longer.
"""

import argparse
import asyncio
import json
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Self

from starlette.types import ASGIApp, Receive, Scope, Send

import routecast
from routecast.artifacts import load_router
from routecast.gateway.app import create_app
from routecast.gateway.client_connection import ClientConnection
from routecast.policy.parse import parse_settings
from routecast.testing import FakeUpstream, serve_on_loopback, serve_upstream
from routecast.testing.asgi import answer_lifespan, read_body

Figures = dict[str, dict[str, int]]

PACKAGE = str(Path(routecast.__file__).parent)
NOT_COUNTED = str(Path(PACKAGE) / "testing")
N_TRIES = 15
N_CHUNKS = 40
PROMPT = "Compare {} ways to plan the history of a small harbour city, then explain the best one. "
CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": " word"}}]}\n\n'


class PathCounter:
    """Counts while it is entered, in this thread, whatever coroutines run there.

    Attributes:
        n_lines: Lines of Routecast's that were executed.
        n_c_calls: Calls from there into compiled code.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.n_lines = 0
        self.n_c_calls = 0

    def __enter__(self) -> Self:
        """Begin to count."""
        self._before = sys.gettrace(), sys.getprofile()
        sys.settrace(self._enter)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        """End counting."""
        sys.settrace(self._before[0])
        sys.setprofile(self._before[1])

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:  # noqa: ANN401 (as sys.settrace has it)
        return self._count_line if is_counted(frame) else None

    def _count_line(self, _frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401 (as sys.settrace has it)
        if event == "line":
            self.n_lines += 1
        return self._count_line

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        if event == "c_call" and is_counted(frame):
            self.n_c_calls += 1

    @property
    def figures(self) -> dict[str, int]:
        """What was counted."""
        return {"n_lines": self.n_lines, "n_c_calls": self.n_c_calls}


def is_counted(frame: FrameType) -> bool:
    """Whether a frame is the product's own code."""
    name = frame.f_code.co_filename
    return name.startswith(PACKAGE) and not name.startswith(NOT_COUNTED)


def count_scoring() -> dict[str, int]:
    """Count one prompt of new words, scored by the default router."""
    router = load_router("default").router
    for number in range(N_TRIES):
        router.win_probabilities([PROMPT.format(number) * 4])
    counters = []
    for number in range(N_TRIES):
        with PathCounter() as counter:
            router.win_probabilities([PROMPT.format(f"w{number:05d}") * 4])
        counters.append(counter.figures)
    tracemalloc.start()
    peaks = []
    for number in range(N_TRIES):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        router.win_probabilities([PROMPT.format(f"v{number:05d}") * 4])
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    tracemalloc.stop()
    return fewest(counters) | {"n_bytes": sorted(peaks)[N_TRIES // 2]}


def fewest(counts: list[dict[str, int]]) -> dict[str, int]:
    """The smallest of each count: what ran without anything in between."""
    return {name: min(count[name] for count in counts) for name in counts[0]}


@asynccontextmanager
async def gateway(upstream: ASGIApp) -> AsyncIterator[tuple[str, int]]:
    """Serve a gateway with one random route, both of whose models are one upstream."""
    async with serve_upstream(upstream) as url:
        model = f'model = "simulated"\nbase_url = "{url}"\nprice = {{ input = 1.0, output = 2.0 }}'
        settings = parse_settings(
            f"[models.strong]\n{model}\n[models.weak]\n{model}\n"
            '[routes.auto]\nstrong = "strong"\nweak = "weak"\nrouter = "random"\nthreshold = 0.5',
            source="the count's settings",
        )
        app = create_app(settings, {"random": load_router("random")})
        async with serve_on_loopback(app, http=ClientConnection) as address:
            host, _, port = address.removeprefix("http://").partition(":")
            yield host, int(port)


def request(*, stream: bool) -> bytes:
    """A chat request as it goes over the wire."""
    message = {"role": "user", "content": PROMPT.format("three")}
    body = json.dumps({"model": "auto", "messages": [message], "stream": stream}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n"
        b"accept-encoding: gzip, deflate\r\nauthorization: Bearer none\r\n"
        b"content-type: application/json\r\nuser-agent: count\r\ncontent-length: %d\r\n\r\n%b"
        % (len(body), body)
    )


async def count_relaying() -> dict[str, int]:
    """Count one plain request, over a connection that stays open."""
    async with gateway(FakeUpstream("simulated")) as place:
        reader, writer = await asyncio.open_connection(*place)

        async def ask() -> None:
            writer.write(request(stream=False))
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            await asyncio.sleep(0.01)  # what follows the answer belongs to the request too

        counts = await count_tries(ask)
        writer.close()
    return counts


async def count_tries(ask: Callable[[], Awaitable[None]]) -> dict[str, int]:
    """Count a request as often as is needed for one that nothing disturbed."""
    await ask()
    await ask()
    counters = []
    for _ in range(N_TRIES):
        with PathCounter() as counter:
            await ask()
        counters.append(counter.figures)
    return fewest(counters)


async def count_streaming() -> dict[str, int]:
    """Count one chunk of a stream: a stream's many chunks less a stream's few, per chunk."""
    few = await count_stream(2)
    many = await count_stream(2 + N_CHUNKS)
    return {name: round((many[name] - few[name]) / N_CHUNKS) for name in few}


async def count_stream(n_chunks: int) -> dict[str, int]:
    """Count one stream; each chunk is sent when the last has arrived."""
    arrived = asyncio.Semaphore(0)

    async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answer_lifespan(receive, send)
            return
        await read_body(receive)
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(n_chunks):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await arrived.acquire()
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async with gateway(upstream) as place:
        reader, writer = await asyncio.open_connection(*place)

        async def ask() -> None:
            writer.write(request(stream=True))
            for _ in range(n_chunks):
                await reader.readuntil(CHUNK)
                arrived.release()
            await reader.readuntil(b"[DONE]\n\n\r\n0\r\n\r\n")
            await asyncio.sleep(0.01)

        counts = await count_tries(ask)
        writer.close()
    return counts


def count_all() -> Figures:
    """Count everything."""
    return {
        "scoring one prompt": count_scoring(),
        "relaying one request": asyncio.run(count_relaying()),
        "relaying one chunk of a stream": asyncio.run(count_streaming()),
    }


def main() -> None:
    """Count, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(count_all(), indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
