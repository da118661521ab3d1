"""A run that is killed goes on where it was, and pays for nothing twice."""

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from routecast.testing import Refuse, StopMidStream

if TYPE_CHECKING:
    from tests.label.conftest import ScriptedModel

pytestmark = pytest.mark.anyio

N_PROMPTS = 25
N_NEEDED = 4 * N_PROMPTS
"""Two answers and two verdicts for each prompt."""

CONCURRENCY = 3
N_IN_FLIGHT = 3 * CONCURRENCY
"""Calls in flight at most: three models, three at once to each."""


class Job:
    """The command line on files of its own, in a process of its own."""

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self.journal = folder / "labels.jsonl.journal"
        self.output = folder / "labels.jsonl"
        prompts = [json.dumps({"prompt": f"question {n}", "n": n}) for n in range(N_PROMPTS)]
        (folder / "prompts.jsonl").write_text("\n".join(prompts))
        models = {"strong": "good-1", "weak": "bad-1", "judge": "judge-1"}
        (folder / "routecast.toml").write_text(
            "".join(
                f'[models.{name}]\nmodel = "{model}"\nbase_url = "{base_url}"\n'
                "price = { input = 1.0, output = 2.0 }\n"
                for name, model in models.items()
            )
        )

    async def start(self, *options: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from routecast.cli.label import app; app()",
            "judge", "--prompts", "prompts.jsonl", "--strong", "strong", "--weak", "weak",
            "--judge", "judge", "--output", "labels.jsonl", "--concurrency", str(CONCURRENCY),
            "--yes", "--json", *options,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def finish(self, *options: str) -> tuple[dict[str, Any], str]:
        process = await self.start(*options)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return json.loads(out), err.decode()

    def kinds(self) -> Counter[str]:
        """How many whole lines of each kind the journal holds."""
        lines = self.journal.read_bytes().split(b"\n")[:-1] if self.journal.exists() else []
        return Counter(json.loads(line)["kind"] for line in lines)

    def spent_usd(self) -> tuple[float, float]:
        """What the replies cost, and the upper bounds of calls that nobody knows the end of."""
        known, bounds = 0.0, {}
        for line in self.journal.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            if record["kind"] == "sent":
                bounds[record["key"]] = record["at_most_usd"]
            elif record["kind"] in ("reply", "refused"):
                del bounds[record["key"]]
                known += record.get("cost_usd", 0.0)
        return known, sum(bounds.values())


async def interrupt(
    process: asyncio.subprocess.Process, models: "ScriptedModel", n_calls: int, how: signal.Signals
) -> str:
    """Send a signal once so many calls have arrived; return what the process said."""
    async with asyncio.timeout(60):
        while len(models.bodies) < n_calls and process.returncode is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        process.send_signal(how)
        _, err = await process.communicate()
    return err.decode()


async def test_killed_again_and_again_it_pays_for_no_reply_twice(
    models: "ScriptedModel", tmp_path: Path
) -> None:
    models.latency_s = 0.02
    models.misbehave(Refuse(status=429, headers={"Retry-After": "0"}), StopMidStream())
    n_faults, n_kills = 2, 4
    async with models.served() as base_url:
        job = Job(tmp_path, base_url)
        n_repeated_at_most = 0
        for n_calls in (1, 20, 45, 80):
            process = await job.start()
            await interrupt(process, models, n_calls, signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            assert not job.output.exists()
            kinds = job.kinds()
            n_open = kinds["sent"] - kinds["reply"] - kinds["refused"]
            assert n_open <= n_repeated_at_most + N_IN_FLIGHT + n_faults
            n_repeated_at_most = n_open
        n_replies, n_sent = kinds["reply"], len(models.bodies)
        assert 0 < n_replies < N_NEEDED
        document, err = await job.finish()
    # The last run sent exactly what the journal did not hold: no reply was paid for twice.
    assert len(models.bodies) - n_sent == N_NEEDED - n_replies
    assert document["n_calls"] == N_NEEDED - n_replies
    # And in all, only what was in flight at a kill was sent again.
    assert len(models.bodies) <= N_NEEDED + n_faults + n_kills * N_IN_FLIGHT
    assert job.kinds()["reply"] == N_NEEDED
    assert document["n_judged"] == document["n_prompts"] == N_PROMPTS
    assert document["win_share"] == 1.0
    assert f"{N_NEEDED - n_replies} calls to make" in err
    rows = [json.loads(line) for line in job.output.read_text().splitlines()]
    assert [row["n"] for row in rows] == list(range(N_PROMPTS))
    assert {row["outcome"] for row in rows} == {1.0}


async def test_no_body_whose_reply_was_journaled_is_ever_sent_again(
    models: "ScriptedModel", tmp_path: Path
) -> None:
    models.latency_s = 0.02
    async with models.served() as base_url:
        job = Job(tmp_path, base_url)
        process = await job.start()
        await interrupt(process, models, 50, signal.SIGKILL)
        journaled = {
            record["text"]
            for record in map(json.loads, job.journal.read_bytes().split(b"\n")[:-1])
            if record["kind"] == "reply" and record["text"].startswith("an answer")
        }
        models.bodies.clear()
        await job.finish()
    # an answer's text names its model and its prompt
    sent_again = {models.script(body) for body in models.bodies if body["model"] != "judge-1"}
    assert len(journaled) > 10
    assert not journaled & sent_again
    assert len(journaled | sent_again) == 2 * N_PROMPTS


async def test_ctrl_c_ends_it_at_once_and_says_how_to_go_on(
    models: "ScriptedModel", tmp_path: Path
) -> None:
    models.latency_s = 0.02
    async with models.served() as base_url:
        job = Job(tmp_path, base_url)
        process = await job.start()
        err = await interrupt(process, models, 40, signal.SIGINT)
        assert process.returncode == 130
        assert "run the same command again to go on" in err
        assert "Traceback" not in err
        assert not job.output.exists()
        n_replies, n_sent = job.kinds()["reply"], len(models.bodies)
        document, _ = await job.finish()
    assert len(models.bodies) - n_sent == N_NEEDED - n_replies
    assert document["n_judged"] == N_PROMPTS


async def test_what_killed_runs_may_have_spent_counts_against_the_budget(
    models: "ScriptedModel", tmp_path: Path
) -> None:
    models.latency_s = 0.02
    async with models.served() as base_url:
        job = Job(tmp_path, base_url)
        process = await job.start()
        await interrupt(process, models, 40, signal.SIGKILL)
        known, unknown = job.spent_usd()
        assert unknown > 0
        # Room for one call more: 4096 tokens at 2 USD per million, and 3,000 bytes at 1 USD.
        budget_usd = known + unknown + 0.012
        document, err = await job.finish("--budget-usd", str(budget_usd))
        assert "stopped early" in err
        assert document["stopped"] is not None
        assert document["n_not_reached"] > 0
        assert known + unknown < document["spent_usd"] <= budget_usd
        document, _ = await job.finish("--budget-usd", "1.0")
        assert document["stopped"] is None
        assert document["n_judged"] == N_PROMPTS
