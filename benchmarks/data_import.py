"""Import of every shared file, and of a million votes: rows, reasons, seconds, memory.

    python benchmarks/data_import.py --data DIR --output results/data_import.md

DIR holds train/ and benchmarks/routellm/. The page holds counts and names, never a prompt.
"""

import argparse
import csv
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

N_MODELS = 64
N_WORDS = 5_000
SEED = 0
OTHER_SCALES = {"javidlakha_llama3_1Bvs70B": (1.0, 5.0)}
WITHOUT_PROMPTS = ("arena_leaderboard_2025-12", "arena_votes_10k_noprompt")


def main() -> None:
    """Measure everything and write the page; with --step, take one step and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("ROUTECAST_DATA"))
    parser.add_argument("--output", type=Path, default=Path("results/data_import.md"))
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(take_step(*arguments.step)))
        return
    if arguments.data is None:
        parser.error("name the folder of shared data by --data or ROUTECAST_DATA")
    with tempfile.TemporaryDirectory() as folder:
        sections = [
            HEADER.format(
                python=platform.python_version(), polars=version_of("polars"), n_cpus=os.cpu_count()
            ),
            "## Shared files\n",
            *shared_files(Path(arguments.data), Path(folder)),
            f"\n## {arguments.rows:,} votes\n",
            *many_votes(arguments.rows, Path(folder)),
            "\n## Gold labels of all pairs\n",
            *gold_labels(Path(arguments.data), Path(folder)),
        ]
    arguments.output.write_text("\n".join(sections) + "\n")
    print(arguments.output.read_text())


HEADER = """# Import of preference data

Made by `python benchmarks/data_import.py --data DIR`, DIR being the folder of shared data (Python
{python}, polars {polars}, {n_cpus} CPUs, shared with other work). Each line is one process of its
own; memory is the most that it held at once, the interpreter and polars (about 0.1 GB) among it.
"""


def version_of(package: str) -> str:
    """Return an installed package's version."""
    from importlib.metadata import version

    return version(package)


def run_step(*step: str | Path) -> dict[str, Any]:
    """Take a step in a process of its own, and return its figures with seconds and peak memory."""
    command = [sys.executable, __file__, "--step", *map(str, step)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if ran.returncode:
        raise SystemExit(ran.stderr)
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


def take_step(name: str, *paths: str) -> dict[str, Any]:
    """Take a step in this process."""
    steps: dict[str, Callable[..., dict[str, Any]]] = {
        "import": import_step,
        "import-without-answers": import_without_answers_step,
        "read": read_step,
        "describe": describe_step,
        "gold": gold_step,
    }
    start_s = time.perf_counter()
    figures = steps[name](*(Path(path) for path in paths))
    return {**figures, "seconds": time.perf_counter() - start_s, "peak_gb": peak_gb()}


def peak_gb() -> float:
    """Return the most memory that this process has held at once."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e9


def import_step(source: Path, output: Path, *, answers: bool = True) -> dict[str, Any]:
    """Import a file or folder."""
    from routecast.data.importing import import_table
    from routecast.data.readers.context import ReadOptions

    options = ReadOptions(answers=answers, quality_range=OTHER_SCALES.get(source.stem, (0.0, 1.0)))
    report = import_table(source, output, options=options)
    return {
        "format": report.format,
        "kind": report.kind,
        "n_read": report.n_read,
        "n_written": report.n_written,
        "n_prompts": report.n_prompts,
        "n_models": len(report.models),
        "left_out": [f"{entry.reason}: {entry.n_rows:,}" for entry in report.left_out],
        "output_mb": output.stat().st_size / 1e6,
    }


def import_without_answers_step(source: Path, output: Path) -> dict[str, Any]:
    """Import a file, the answers left out."""
    return import_step(source, output, answers=False)


def read_step(path: Path) -> dict[str, Any]:
    """Read comparisons into a validated table, as training does."""
    from routecast.data.readers.native import read_comparisons

    return {"n_rows": len(read_comparisons(path).table)}


def describe_step(path: Path) -> dict[str, Any]:
    """Describe a file."""
    from routecast.data.describe import describe_table

    return {"n_rows": describe_table(path).n_rows}


def gold_step(source: Path, output: Path) -> dict[str, Any]:
    """Compare all pairs of models."""
    from routecast.data.readers.native import read_outcomes
    from routecast.data.writing import write_table
    from routecast.label.gold import gold_labels

    labels = gold_labels(read_outcomes(source).table)
    write_table(labels.comparisons.table, output)
    return {"n_rows": len(labels.comparisons), "output_mb": output.stat().st_size / 1e6}


def shared_files(data: Path, folder: Path) -> list[str]:
    """One line per shared file, as a Markdown table."""
    sources = sorted((data / "train").glob("*.parquet"))
    sources += sorted((data / "benchmarks" / "routellm").iterdir())
    lines = []
    for source in sources:
        if source.stem in WITHOUT_PROMPTS or source.name == "LICENSE":
            continue
        told = run_step("import", source, folder / "out.parquet")
        lines.append(
            f"| {source.stem} | {told['format']} | {told['kind']} | {told['n_read']:,} "
            f"| {told['n_written']:,} | {told['n_prompts']:,} | {told['n_models']} "
            f"| {'; '.join(told['left_out']) or '-'} "
            f"| {told['seconds']:.1f} | {told['peak_gb']:.2f} |"
        )
    return [
        "Into Parquet, with no option but the quality range of one. The two without prompts go to",
        "`routecast data tiers`. Prompts are counted once each.\n",
        "| file | format | becomes | rows | written | prompts | models | left out | s | GB |",
        "|---|---|---|---:|---:|---:|---:|---|---:|---:|",
        *lines,
    ]


def many_votes(n_rows: int, folder: Path) -> list[str]:
    """One line per step over a large file, as a Markdown table."""
    source, kept = folder / "train.csv", folder / "votes.parquet"
    write_votes(source, n_rows)
    slim = folder / "slim.parquet"
    steps: dict[str, Sequence[str | Path]] = {
        "CSV to Parquet": ("import", source, kept),
        "CSV to Parquet, `--no-answers`": ("import-without-answers", source, slim),
        "CSV to JSONL": ("import", source, folder / "votes.jsonl"),
        "CSV to CSV": ("import", source, folder / "votes.csv"),
        "Parquet (native) to Parquet": ("import", kept, folder / "again.parquet"),
        "read into a validated table": ("read", kept),
        "`data describe`": ("describe", kept),
        "`data describe` of the source": ("describe", source),
    }
    lines = []
    for what, step in steps.items():
        told = run_step(*step)
        size = f"{told['output_mb']:,.0f}" if "output_mb" in told else "-"
        lines.append(f"| {what} | {told['seconds']:.0f} | {told['peak_gb']:.2f} | {size} |")
    return [
        f"Made up, in the layout of lmsys-arena-human-preference-55k: {N_MODELS} models, prompts",
        "of 5 to 80 words and two answers of 150, "
        f"{source.stat().st_size / 1e9:.1f} GB of CSV. Bound: 1 GB.\n",
        "| what | s | GB | MB written |",
        "|---|---:|---:|---:|",
        *lines,
    ]


def write_votes(path: Path, n_rows: int) -> None:
    """Write votes of random words."""
    chance = random.Random(SEED)  # noqa: S311 (nothing secret)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(N_WORDS)]
    models = [f"model-{i}" for i in range(N_MODELS)]
    header = "id model_a model_b prompt response_a response_b winner_model_a winner_model_b"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header.split(), "winner_tie"])
        for number in range(n_rows):
            prompt = " ".join(chance.choices(words, k=chance.randint(5, 80)))
            answer = " ".join(chance.choices(words, k=150))
            turns = [json.dumps([text]) for text in (prompt, answer, answer[::-1])]
            winner = chance.randrange(3)
            flags = [int(winner == side) for side in range(3)]
            writer.writerow([number, *chance.sample(models, 2), *turns, *flags])


def gold_labels(data: Path, folder: Path) -> list[str]:
    """One line, as a Markdown table."""
    outcomes = folder / "outcomes.parquet"
    run_step("import", data / "train" / "mmlu_pro_34models.parquet", outcomes)
    told = run_step("gold", outcomes, folder / "gold.parquet")
    return [
        "| outcomes | comparisons | s | GB | MB written |",
        "|---|---:|---:|---:|---:|",
        f"| mmlu_pro_34models | {told['n_rows']:,} | {told['seconds']:.1f} "
        f"| {told['peak_gb']:.2f} | {told['output_mb']:,.0f} |",
    ]


if __name__ == "__main__":
    main()
