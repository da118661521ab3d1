"""Measure the leakage check on real data: the flags of MMLU-Pro, and near-duplicates in MMLU.

    python runs/measure_leakage.py --data DIR [--output results/leakage.md]

Takes about a minute on 2 cores. No prompt's text is written.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from routecast.data.leakage import contained_questions
from routecast.data.near_duplicates import group_near_duplicates
from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.leakage import BoolArray, check_leakage

HEAD = """# The leakage check on real data

    python runs/measure_leakage.py --data DIR

MMLU-Pro ({n_training:,} questions) against the MMLU benchmark ({n_evaluation:,}): how well checks
find the rows that the set itself flags as MMLU questions ({n_flagged:,}).

| check | rows found | precision | recall | seconds |
|---|---|---|---|---|
"""


def main() -> None:
    """Measure and write the page."""
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=home / "results" / "leakage.md")
    arguments = parser.parse_args()
    outcomes = find_reader("matrix")(arguments.data / "train" / "mmlu_pro_34models.parquet").table
    benchmark = arguments.data / "benchmarks" / "routellm" / "mmlu"
    questions = find_reader("routellm-eval")(benchmark, decontaminate=False).table.prompts
    embedder = load_embedder("static")
    page = flag_table(
        outcomes.prompts,
        questions,
        outcomes.table["in_routellm_mmlu_eval"].to_numpy(),
        embedder,
    )
    page += group_table(questions, embedder)
    arguments.output.write_text(page)
    print(page)


def flag_table(
    training: Sequence[str], questions: Sequence[str], flagged: BoolArray, embedder: Embedder
) -> str:
    """Compare each check's finds with the flags."""
    start_s = time.perf_counter()
    whole = np.zeros(len(training), dtype=np.bool_)
    whole[contained_questions(training, questions).training_rows] = True
    whole_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    report = check_leakage(training, questions, embedder)
    report_s = time.perf_counter() - start_s
    lines = [
        _row("whole prompts, by their text", whole, flagged, whole_s),
        _row("also without options, by their text", report.contained, flagged, report_s),
        _row("near-duplicates", report.near, flagged, report_s),
        _row("all of `check-leakage`", report.leaked, flagged, report_s),
    ]
    head = HEAD.format(
        n_training=len(training), n_evaluation=len(questions), n_flagged=int(flagged.sum())
    )
    return head + "\n".join(lines) + "\n\nThe last three are one run, of the seconds given.\n"


def _row(name: str, found: BoolArray, flagged: BoolArray, elapsed_s: float) -> str:
    n_both = int((found & flagged).sum())
    precision = n_both / max(1, int(found.sum()))
    recall = n_both / int(flagged.sum())
    return f"| {name} | {found.sum():,} | {precision:.4f} | {recall:.4f} | {elapsed_s:.0f} |"


def group_table(questions: Sequence[str], embedder: Embedder) -> str:
    """Group MMLU's questions with and without the words' say."""
    lines = [
        "",
        f"Near-duplicates among the {len(questions):,} MMLU questions, by the embedder "
        f"`{embedder.identity.name}`, cosine of .95 or more:",
        "",
        "| Jaccard of five-word runs | groups merged | largest merged | over 1%, not merged |",
        "|---|---|---|---|",
    ]
    embeddings = embedder.embed(questions)
    for label, min_jaccard in ((".6 or more", 0.6), ("not asked", 0.0)):
        groups = group_near_duplicates(questions, embeddings, min_jaccard=min_jaccard)
        largest = max(groups.sizes, default=0)
        oversized = ", ".join(str(size) for size in groups.oversized) or "none"
        lines.append(f"| {label} | {len(groups.sizes):,} | {largest} | {oversized} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
