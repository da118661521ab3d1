r"""Requests per second of the gateway, as a share of a bare relay's in the same run.

    python benchmarks/gateway_overhead.py --litellm VENV/bin/litellm \
        --output results/gateway_overhead.md

Each relay runs in a process of its own, with the same garbage-collector settings (`gc.freeze()`
after start-up), against two fake upstreams in processes of their own. Two bare relays stand beside
the gateway: aiohttp's server and client, and its client behind stock uvicorn with raw ASGI, which
is quicker. They read the body, post it to either upstream, and send the answer back: no route, no
JSON, no router, no log, no headers passed on but the content type. The gateway logs every request,
and is measured with three routers: `random`, the default, and a `ridge` that learned from the 300
questions of `routecast demo`. A prompt is one of the demo's 1,000 other questions and a number;
none is sent twice. Short rounds alternate between the relays, so that a busy machine slows all; the
ratios are medians over the rounds.

On Linux each process is pinned to its own core, and CPU time per request is measured too: where the
load or the upstream cannot keep the relay's core busy, that is the figure to read.

With `--litellm` its proxy (a virtual environment of its own with `litellm[proxy]`) takes the bare
relay's place for a few rounds: one worker, no key, no callbacks, its own settings otherwise. Last,
`routecast serve` is started anew: how long until it is ready, and how much memory it has after
some thousand requests.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlopen

import polars as pl

from routecast.artifacts import save_artifact
from routecast.data.outcomes import Outcomes
from routecast.demo.questions import load_questions
from routecast.embed.registry import load_embedder
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.sources import set_of_outcomes

N_CLIENTS = 64
N_WARM_UP_ROUNDS = 4
BARE_RELAYS = ("aiohttp", "uvicorn")
N_STARTS = 5

NUMBERS = count()
QUESTIONS = cycle(json.dumps(one.prompt)[1:-1] for one in load_questions()[1])

HEADING = """# What the gateway costs per request

Made by `python benchmarks/gateway_overhead.py --litellm VENV/bin/litellm --output
results/gateway_overhead.md`, which says how. The budgets: 80% of a bare aiohttp relay's requests
per second with `random`, 65% with the default router and with a trained one, 10 times litellm's
proxy, ready within 2 s, 200 MB per worker. `aiohttp` is that relay, server and client; `uvicorn`
is its client behind stock uvicorn with raw ASGI, which is quicker. Where a core was not busy
throughout, other work on the machine held the relay back, and CPU time per request is the figure
to read."""

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Round:
    """One round against one relay; no CPU time where the system does not say it."""

    n_requests: int
    elapsed_s: float
    cpu_s: float


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--round-s", type=float, default=0.5)
    parser.add_argument("--litellm", type=Path, help="The command of an environment of its own.")
    parser.add_argument("--litellm-rounds", type=int, default=6)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    reports = [HEADING]

    def add(text: str) -> None:
        reports.append(text)
        print(text, flush=True)

    with TemporaryDirectory() as folder:
        ridge = Path(folder) / "ridge"
        train_ridge(ridge)
        for name, router in (("random", "random"), ("default", "default"), ("ridge", str(ridge))):
            add(report(name, compare(router, arguments.rounds, arguments.round_s)))
    if arguments.litellm:
        n_rounds = arguments.litellm_rounds
        add(report_peer(compare("default", n_rounds, 2.0, litellm=arguments.litellm)))
    add(report_process("default"))
    if arguments.output:
        arguments.output.write_text("\n\n".join(reports) + "\n", encoding="utf-8")


def train_ridge(folder: Path) -> None:
    """Train on the demo's labelled questions."""
    questions, _ = load_questions()
    columns = {
        f"quality|{model}": [float(asked.answers[model].is_right) for asked in questions]
        for model in ("strong", "weak")
    }
    table = pl.DataFrame({"prompt": [asked.prompt for asked in questions], **columns})
    trained = train_router(
        [set_of_outcomes(Outcomes(table=table, source="the demo's questions"))],
        TrainSettings(router="ridge", strong=("strong",), weak=("weak",)),
        embedder=load_embedder("static"),
    )
    save_artifact(trained.artifact, folder)


def settings_text(upstreams: str, router: str) -> str:
    """One route between the two upstreams."""
    strong, weak = upstreams.split(",")
    return f"""
        [models.strong]
        model = "simulated-strong"
        base_url = "http://127.0.0.1:{strong}/v1"
        price = {{ input = 1.0, output = 4.0 }}
        [models.weak]
        model = "simulated-weak"
        base_url = "http://127.0.0.1:{weak}/v1"
        [routes.auto]
        strong = "strong"
        weak = "weak"
        router = "{router}"
        strong_share = 0.5
        """


@contextmanager
def process(
    role: str, *, core: int, upstreams: str = "", router: str = ""
) -> Iterator[tuple[int, int]]:
    """Run a role in a process of its own; yields its process id and port."""
    script = Path(__file__).with_name("gateway_relays.py")
    command = [sys.executable, str(script), role, "--upstreams", upstreams]
    if role == "gateway":
        command += ["--router", router, "--settings", settings_text(upstreams, router)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 (our own command line)
        try:
            port = int(child.stdout.readline() if child.stdout else "")
            pin(child.pid, core)
            yield child.pid, port
        finally:
            child.send_signal(signal.SIGTERM)


def pin(pid: int, core: int) -> None:
    """Give a process one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0)) if pid else range(os.cpu_count() or 1)
        os.sched_setaffinity(pid, {list(cores)[core % len(cores)]})


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def litellm_proxy(command: Path, *, core: int, upstreams: str) -> Iterator[tuple[int, int]]:
    """Run litellm's proxy between the same upstreams; yields its process id and port."""
    models = "\n".join(
        f"  - {{model_name: auto, litellm_params: {{model: openai/simulated, api_key: none, "
        f'api_base: "http://127.0.0.1:{port}/v1"}}}}'
        for port in upstreams.split(",")
    )
    port = free_port()
    environment = {
        **os.environ,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "PYTHONPATH": "",
    }
    with TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(f"model_list:\n{models}\nlitellm_settings: {{telemetry: false}}\n")
        address = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        with subprocess.Popen(  # noqa: S603 (our own command line)
            [command, "--config", config, *address],
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as child:
            try:
                wait_until_ready(f"http://127.0.0.1:{port}/health/liveliness", child, within_s=120)
                pin(child.pid, core)
                yield child.pid, port
            finally:
                child.terminate()


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until_ready(url: str, child: "subprocess.Popen[bytes]", *, within_s: float) -> float:
    """Ask until the answer is 200; returns how many seconds that took."""
    began_s = time.perf_counter()
    while time.perf_counter() - began_s < within_s:
        if child.poll() is not None:
            raise RuntimeError(f"{child.args!r} ended with {child.returncode}")
        try:
            with urlopen(url, timeout=5) as answer:  # noqa: S310 (loopback)
                if answer.status == 200:
                    return time.perf_counter() - began_s
        except OSError:
            time.sleep(0.01)  # it does not listen yet
    raise RuntimeError(f"{url} was not ready within {within_s} s")


def compare(
    router: str, n_rounds: int, round_s: float, *, litellm: Path | None = None
) -> dict[str, list[Round]]:
    """Alternate rounds between the gateway and the bare relays, or litellm's proxy."""
    with ExitStack() as stack:
        upstreams = [stack.enter_context(process("upstream", core=core))[1] for core in (1, 3)]
        ports = ",".join(str(port) for port in upstreams)
        relays = {
            name: stack.enter_context(process(name, core=2, upstreams=ports))
            for name in BARE_RELAYS
            if litellm is None
        }
        if litellm is not None:
            relays["litellm"] = stack.enter_context(litellm_proxy(litellm, core=2, upstreams=ports))
        relays["gateway"] = stack.enter_context(
            process("gateway", core=2, upstreams=ports, router=router)
        )
        return asyncio.run(alternate(relays, n_rounds=n_rounds, round_s=round_s))


async def alternate(
    relays: dict[str, tuple[int, int]], *, n_rounds: int, round_s: float
) -> dict[str, list[Round]]:
    """Load each relay in turn, over connections that stay open for a round."""
    rounds: dict[str, list[Round]] = {role: [] for role in relays}
    for i in range(n_rounds + N_WARM_UP_ROUNDS):
        for role in relays if i % 2 else reversed(relays):
            measured = await load(*relays[role], duration_s=round_s)
            if i >= N_WARM_UP_ROUNDS:
                rounds[role].append(measured)
    return rounds


async def load(pid: int, port: int, *, duration_s: float) -> Round:
    """Load one relay with all clients for a while."""
    clients = [await connect(port) for _ in range(N_CLIENTS)]
    measured = await measure(pid, clients, duration_s=duration_s)
    for _, writer in clients:
        writer.close()
    return measured


async def connect(port: int) -> Client:
    """Open one client's connection."""
    return await asyncio.open_connection("127.0.0.1", port)


async def measure(pid: int, clients: list[Client], *, duration_s: float) -> Round:
    """Load one relay with all clients for a while."""
    before, began = cpu_s(pid), time.perf_counter()
    until = began + duration_s
    n_requests = sum(await asyncio.gather(*(ask_until(until, *client) for client in clients)))
    after, elapsed_s = cpu_s(pid), time.perf_counter() - began
    return Round(n_requests, elapsed_s, after - before)


async def ask_until(
    until: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> int:
    """One client: the next prompt when the last is answered. Returns how many were."""
    n_answers = 0
    while time.perf_counter() < until:
        body = f'{{"model":"auto","messages":[{{"role":"user","content":"{new_prompt()}"}}]}}'
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            b"accept: application/json\r\naccept-encoding: gzip, deflate\r\n"
            b"authorization: Bearer none\r\ncontent-type: application/json\r\n"
            b"user-agent: benchmark\r\ncontent-length: %d\r\n\r\n" % len(body) + body.encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a relay answered {head[:200]!r}")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        n_answers += 1
    return n_answers


def new_prompt() -> str:
    """Return a question as JSON has it, and a number that no prompt had before."""
    return f"{next(QUESTIONS)} {next(NUMBERS)}"


def report(router: str, rounds: dict[str, list[Round]]) -> str:
    """Return the comparison with the bare relays as Markdown."""
    lines = [f"## Router `{router}`", "", *table(rounds), ""]
    for name in BARE_RELAYS:
        pairs = list(zip(rounds["gateway"], rounds[name], strict=True))
        costs = [(b.cpu_s / b.n_requests) / (o.cpu_s / o.n_requests) for o, b in pairs if o.cpu_s]
        speeds = [speed(own) / speed(bare) for own, bare in pairs]
        lines += [
            f"- Requests/s, gateway over `{name}`: {spread(speeds)}.",
            f"- CPU per request, `{name}` over gateway: {spread(costs)}.",
        ]
    n_rounds = len(rounds["gateway"])
    lines.append(
        f"- {n_rounds} rounds of each, {N_CLIENTS} clients, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {'httptools' if find_spec('httptools') else 'h11'} as "
        "uvicorn's parser."
    )
    return "\n".join(lines)


def report_peer(rounds: dict[str, list[Round]]) -> str:
    """Return the comparison with litellm's proxy as Markdown."""
    pairs = list(zip(rounds["gateway"], rounds["litellm"], strict=True))
    ratios = [speed(own) / speed(other) for own, other in pairs]
    costs = [(b.cpu_s / b.n_requests) / (o.cpu_s / o.n_requests) for o, b in pairs if o.cpu_s]
    return "\n".join(
        [
            "## litellm's proxy",
            "",
            *table(rounds),
            "",
            f"- Requests/s, gateway over litellm: {spread(ratios, as_times=True)}.",
            f"- CPU per request, litellm over gateway: {spread(costs, as_times=True)}.",
            f"- {len(pairs)} rounds of each, {N_CLIENTS} clients; litellm has uvloop.",
        ]
    )


def table(rounds: dict[str, list[Round]]) -> list[str]:
    """Return each relay's totals as a table in Markdown."""
    lines = [
        "| relay | requests | requests/s | CPU per request | core busy |",
        "|---|---|---|---|---|",
    ]
    for role, measured in rounds.items():
        n_requests = sum(r.n_requests for r in measured)
        elapsed_s, used_s = sum(r.elapsed_s for r in measured), sum(r.cpu_s for r in measured)
        lines.append(
            f"| {role} | {n_requests:,} | {n_requests / elapsed_s:,.0f} "
            f"| {used_s / n_requests * 1e6:.0f} us | {used_s / elapsed_s:.0%} |"
        )
    return lines


def speed(measured: Round) -> float:
    """Requests per second."""
    return measured.n_requests / measured.elapsed_s


def report_process(router: str) -> str:
    """Start `routecast serve` a few times; how long until it is ready, and its memory then."""
    ready_s, resident_mb = [], 0.0
    with ExitStack() as stack:
        upstreams = [stack.enter_context(process("upstream", core=core))[1] for core in (1, 3)]
        folder = Path(stack.enter_context(TemporaryDirectory()))
        config = folder / "routecast.toml"
        config.write_text(settings_text(",".join(map(str, upstreams)), router))
        for attempt in range(N_STARTS):
            port = free_port()
            serve = ["from routecast.cli.main import main; main()", "serve", "--port", str(port)]
            with subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, "-c", *serve, "--config", config], stderr=subprocess.DEVNULL
            ) as child:
                url = f"http://127.0.0.1:{port}/readyz"
                ready_s.append(wait_until_ready(url, child, within_s=60))
                if attempt == N_STARTS - 1:
                    asyncio.run(load(child.pid, port, duration_s=5.0))
                    resident_mb = memory_mb(child.pid)
                child.terminate()
    return "\n".join(
        [
            "## One process",
            "",
            f"- From the command to the first 200 of `/readyz`, router `{router}`: median "
            f"{statistics.median(ready_s):.2f} s of {N_STARTS} starts "
            f"({min(ready_s):.2f} to {max(ready_s):.2f} s).",
            f"- Memory after 5 s of load: {resident_mb:.0f} MB resident.",
        ]
    )


def memory_mb(pid: int) -> float:
    """Resident memory of a process in MB; 0 where the system does not say."""
    try:
        n_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return n_pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def spread(ratios: list[float], *, as_times: bool = False) -> str:
    """The median with a 95% interval for it, by the order statistics."""
    if not ratios:
        return "not measured on this system"
    ordered = sorted(ratios)
    reach = 0.98 * len(ordered) ** 0.5
    low = ordered[max(0, int(len(ordered) / 2 - reach))]
    high = ordered[min(len(ordered) - 1, int(len(ordered) / 2 + reach))]
    median = statistics.median(ordered)
    if as_times:
        return f"median {median:.1f} times, 95% interval {low:.1f} to {high:.1f}"
    return f"median {median:.1%}, 95% interval {low:.1%} to {high:.1%}"


if __name__ == "__main__":
    main()
