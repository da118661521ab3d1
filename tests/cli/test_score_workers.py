"""Scoring in workers: the same scores in the same order, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.artifacts import load_router
from routecast.cli import score_workers
from routecast.cli.score import _n_processes
from routecast.cli.score_workers import n_cores, score_batches, scores_in_workers
from routecast.errors import DataError
from routecast.types import FloatArray

PROMPTS = [f"Question {number}: prove that {number} is prime." for number in range(60)]


def in_batches(read: list[int] | None = None) -> Iterator[tuple[int, Sequence[str]]]:
    for number in range(20):
        if read is not None:
            read.append(number)
        yield number, PROMPTS[3 * number : 3 * number + 3]


def test_workers_give_the_scores_of_one_process_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_workers, "N_BATCHES_BEFORE", 2)
    loaded, read = load_router(), list[int]()
    expected = loaded.router.win_probabilities(PROMPTS)
    found: list[FloatArray] = []
    for number, (scores, n_cut) in score_batches(in_batches(read), loaded, n_processes=2):
        assert number == len(found)
        assert len(read) <= len(found) + 2 * 2 + 2  # read ahead by a few batches, no more
        assert n_cut == 0
        found.append(scores)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12)


def test_a_small_input_starts_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_workers, "_in_workers", None)
    assert len(list(score_batches(list(in_batches())[:10], load_router(), n_processes=2))) == 10


def test_a_worker_that_is_ended_is_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_workers, "N_BATCHES_BEFORE", 0)
    monkeypatch.setattr(score_workers, "_score_in_worker", os._exit)  # of 1 "prompt": its status
    batches: Any = [(0, 1)]
    with pytest.raises(DataError, match="--processes 1"):
        list(score_batches(batches, load_router(), n_processes=2))


def test_what_cannot_be_shared_is_scored_in_one_process() -> None:
    default = load_router()
    assert _n_processes(None, "file.jsonl", default, deviation=False) == n_cores()
    assert _n_processes(3, "-", default, deviation=False) == 3
    assert _n_processes(None, "-", default, deviation=False) == 1
    assert _n_processes(8, "file.jsonl", default, deviation=True) == 1
    assert _n_processes(8, "file.jsonl", load_router("length"), deviation=False) == 1
    assert not scores_in_workers(replace(default, embedder=None))


def processes_below(parent: int) -> set[int]:
    """Return the ids of a process's descendants."""
    rows = [
        (int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1]))
        for stat in Path("/proc").glob("[0-9]*/stat")
    ]
    found: set[int] = set()
    while new := {child for child, above in rows if above in found | {parent}} - found:
        found |= new
    return found


def is_running(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_end_in_the_middle_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals
) -> None:
    source = tmp_path / "many.jsonl"
    row = json.dumps({"prompt": "Explain why the sky is blue."}) + "\n"
    source.write_text(row * 60_000)
    output = tmp_path / "scores.jsonl"
    script = (
        "from routecast.cli import main, score_workers\n"
        "score_workers.N_BATCHES_BEFORE = 0\n"
        "main.main()"
    )
    command = [sys.executable, "-c", script, "score"]
    run = subprocess.Popen(
        [*command, "--input", source, "--output", output, "--processes", "2"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(workers := processes_below(run.pid)) < 2:
        assert run.poll() is None
        time.sleep(0.02)
    os.killpg(run.pid, number) if number is signal.SIGINT else run.send_signal(number)
    _, said = run.communicate()
    assert run.returncode == {2: 130, 15: 143, 9: -9}[number]
    assert "Traceback" not in said or number is signal.SIGKILL  # of a worker on its way up
    while any(map(is_running, workers)):
        time.sleep(0.02)
    assert not output.exists()
    if number is not signal.SIGKILL:
        assert [path.name for path in tmp_path.iterdir()] == ["many.jsonl"]
