"""Measure `data split`, `calibrate` and `score` on a million rows: seconds, CPU, memory.

    python benchmarks/million_rows.py [--rows 1000000] [--output results/million_rows.md]

The prompts are made by program, from a fixed seed: 8 to 90 words of a vocabulary of 30,000 with
Zipf's frequencies. In the second file, nine in ten share a template of 40 words; in the third, nine
in ten are one text but for a number at its end, so that nearly all are near-duplicates.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SEED = 0
TEMPLATED = 0.9
TEMPLATE = (
    "You are a careful assistant of our support team. Read the ticket below, find out what the "
    "customer wants, decide whether a person has to look at it, and answer in at most three "
    "friendly sentences without promising a refund. Ticket: "
)
SYLLABLES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "ke",
    "li",
    "pra",
    "qui",
    "ros",
    "sta",
    "tem",
    "zor",
)
FILES = {
    "natural": "different prompts",
    "template": "nine in ten share a template",
    "copies": "nine in ten are one text but for a number",
}
_PAUSE_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Step:
    """Cost of one command; memory is the sum over its processes, shared pages counted once."""

    command: str
    file: str
    wall_s: float
    cpu_s: float
    peak_gb: float
    load: float


def main() -> None:
    """Make the files, run the commands, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=Path("results/million_rows.md"))
    arguments = parser.parse_args()
    steps = []
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            file = Path(folder) / f"{name}.jsonl"
            write_prompts(file, arguments.rows, kind=name)
            for command in commands(file, Path(folder)):
                steps.append(measured(command, name))
                print(steps[-1], file=sys.stderr)
            file.unlink()
    arguments.output.write_text(page(steps, arguments.rows))
    print(arguments.output.read_text())


def write_prompts(file: Path, n_rows: int, *, kind: str) -> None:
    """Write a file of made-up prompts."""
    rng = random.Random(SEED)  # noqa: S311 (made-up prompts, no secret)
    vocabulary = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(30_000)]
    weights = [1.0 / (rank + 3) for rank in range(len(vocabulary))]
    cumulative = [sum(weights[:1])]
    for weight in weights[1:]:
        cumulative.append(cumulative[-1] + weight)
    with file.open("w") as lines:
        for row in range(n_rows):
            words = rng.choices(vocabulary, cum_weights=cumulative, k=rng.randint(8, 90))
            text = " ".join(words)
            if kind != "natural" and rng.random() < TEMPLATED:
                text = TEMPLATE + (text[:200] if kind == "template" else str(row))
            lines.write(json.dumps({"id": row, "prompt": text}) + "\n")


def commands(file: Path, folder: Path) -> Iterator[list[str]]:
    """Yield the arguments of each command."""
    yield ["data", "split", str(file), "--output", str(folder / "parts")]
    yield ["calibrate", "--prompts", str(file), "--strong-share", "0.3"]
    yield ["score", "--input", str(file), "--output", str(folder / "scores.jsonl")]


def measured(arguments: Sequence[str], file: str) -> Step:
    """Run a command to its end, and say what it took."""
    script = "from routecast.cli.main import main; main()"
    began_s, load = time.perf_counter(), os.getloadavg()[0]
    run = subprocess.Popen(  # noqa: S603 (our own command)
        [sys.executable, "-c", script, *arguments], stdout=subprocess.DEVNULL, stderr=sys.stderr
    )
    peaks = [0]
    watch = threading.Thread(target=_watch_memory, args=(run.pid, peaks), daemon=True)
    watch.start()
    _, status, usage = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    watch.join()
    if run.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {run.returncode}")
    return Step(
        command=" ".join(arguments[: 2 if arguments[0] == "data" else 1]),
        file=file,
        wall_s=time.perf_counter() - began_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_gb=max(peaks[0], 1024 * usage.ru_maxrss) / 1e9,
        load=load,
    )


def _watch_memory(process: int, peaks: list[int]) -> None:
    """Keep the largest sum of proportional set sizes of a process and its descendants."""
    while Path(f"/proc/{process}/smaps_rollup").exists():
        with contextlib.suppress(OSError):  # one of them just ended
            peaks[0] = max(peaks[0], sum(map(_memory_of, [process, *_below(process)])))
        time.sleep(_PAUSE_S)


def _memory_of(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _below(process: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return children + [below for child in children for below in _below(child)]


def page(steps: Sequence[Step], n_rows: int) -> str:
    """Return the page."""
    n_cores = len(os.sched_getaffinity(0))
    lines = [
        f"# {n_rows:,} rows",
        "",
        f"Made by `python benchmarks/million_rows.py` on {n_cores} cores (Python "
        f"{platform.python_version()}), N = {n_rows:,} prompts made by program (8 to 90 words, or "
        "a template and up to 200 characters), default router. Wall seconds depend on what else "
        "runs: the load is the machine's average of one minute when the step began, and a load "
        "above the number of cores makes them longer. CPU seconds are of all of a command's "
        "processes; `data split` and `calibrate` use one core, `score` all.",
        "",
        "| command | prompts | wall, s | CPU, s | peak memory, GB | load |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{step.command}` | {FILES[step.file]} | {step.wall_s:.0f} | {step.cpu_s:.0f} "
        f"| {step.peak_gb:.2f} | {step.load:.1f} |"
        for step in steps
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
