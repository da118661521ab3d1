"""Time the whole of `routecast train blend`, by the number of labels, beside `ridge`.

    OMP_NUM_THREADS=1 python benchmarks/blend_training.py --data DIR

Real prompts of several sets, each once, with labels that are drawn: the weak model fails more often
on longer prompts. What the labels are decides nothing about the time. Each run is a process of its
own and reads, embeds, groups near-duplicates, splits, fits, calibrates and measures. Takes some
minutes. On a busy machine more threads of BLAS take longer than one, as they wait for one another.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from routecast.data.readers.registry import find_reader

SEED = 20261121
N_LABELS = (300, 1_531, 10_000, 50_000)
ROUTERS = ("blend", "ridge")
SETS = ("mmlu_pro_34models", "llmrouter_uiuc_train", "routerdc_7models")
TRAFFIC = "arena_topic_prompts"
TRAIN = (sys.executable, "-c", "from routecast.cli.main import main; main()", "train")


def main() -> None:
    """Draw labels, train, write and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of shared data")
    parser.add_argument("--output", type=Path, default=Path("results/blend_training.md"))
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of the largest one")
    options = parser.parse_args()
    prompts = read_prompts(options.data)
    rows = []
    with TemporaryDirectory() as folder:
        for n_labels in N_LABELS:
            labels = Path(folder) / f"{n_labels}.jsonl"
            write_labels(labels, prompts[:n_labels])
            n_rounds = 1 if n_labels == max(N_LABELS) else options.rounds
            times = {name: train_s(name, labels, n_rounds=n_rounds) for name in ROUTERS}
            rows.append((n_labels, n_rounds, times))
            print(rows[-1], file=sys.stderr)
    page = page_of(rows)
    options.output.write_text(page)
    print(page)


def read_prompts(folder: Path) -> list[str]:
    """Return the different prompts of several sets, in random order."""
    import polars as pl

    found: list[str] = []
    for name in SETS:
        found += find_reader("matrix")(folder / "train" / f"{name}.parquet").table.prompts
    found += find_reader("routellm-eval")(folder / "benchmarks" / "routellm" / "mmlu").table.prompts
    found += pl.read_parquet(folder / "train" / f"{TRAFFIC}.parquet")["prompt"].to_list()
    different = list(dict.fromkeys(prompt for prompt in found if prompt and prompt.strip()))
    order = np.random.default_rng(SEED).permutation(len(different))
    return [different[row] for row in order.tolist()]


def write_labels(path: Path, prompts: list[str]) -> None:
    """Write outcomes of a strong and a weak model."""
    generator = np.random.default_rng(SEED)
    ranks = np.argsort(np.argsort([len(prompt) for prompt in prompts])) / len(prompts)
    strong = generator.random(len(prompts)) < 0.8
    weak = generator.random(len(prompts)) < 0.9 - 0.5 * ranks
    with path.open("w", encoding="utf-8") as file:
        for prompt, one, other in zip(prompts, strong, weak, strict=True):
            row = {"prompt": prompt, "quality|strong": float(one), "quality|weak": float(other)}
            file.write(json.dumps(row) + "\n")


def train_s(router: str, labels: Path, *, n_rounds: int) -> list[float]:
    """Return how long each run of the command took."""
    output = labels.with_name(f"{labels.stem}-{router}")
    command = [*TRAIN, router, "--outcomes", str(labels), "--strong", "strong", "--weak", "weak"]
    times = []
    for _ in range(n_rounds):
        began_s = perf_counter()
        subprocess.run(  # noqa: S603 (our own command line)
            [*command, "--output", str(output)], check=True, capture_output=True
        )
        times.append(perf_counter() - began_s)
    return times


def page_of(rows: list[tuple[int, int, dict[str, list[float]]]]) -> str:
    """Write the figures down."""
    lines = [
        "# Training `blend`",
        "",
        "    OMP_NUM_THREADS=1 python benchmarks/blend_training.py --data DIR",
        "",
        "Seconds of the whole command `routecast train`, start of Python included, static",
        "embedder: median of the runs. What `ridge` takes is mostly what every router takes.",
        f"Load of the machine at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores,",
        f"Python {platform.python_version()}, numpy {np.__version__}.",
        "",
        "| labels | runs | `blend` | `ridge` | `blend` over `ridge` |",
        "|---:|---:|---:|---:|---:|",
    ]
    for n_labels, n_rounds, times in rows:
        blend, ridge = (median(times[name]) for name in ROUTERS)
        lines.append(
            f"| {n_labels:,} | {n_rounds} | {blend:.1f} | {ridge:.1f} | {blend / ridge:.1f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
