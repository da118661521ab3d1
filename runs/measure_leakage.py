"""Measure the leakage check on real data: the flags of MMLU-Pro, and near-duplicates in MMLU.

    python runs/measure_leakage.py --data DIR [--embedder NAME] [--cache DIR] [--output FILE]

Takes about a minute on 2 cores; each further embedder adds its own time for 14,042 questions, a
few minutes for MiniLM, unless they are in the cache. No prompt's text is written.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from routecast.data.chains import Chains
from routecast.data.leakage import contained_questions
from routecast.data.near_duplicates import MIN_JACCARD, find_near_duplicates, merge_groups
from routecast.data.readers.registry import find_reader
from routecast.embed.cache import cached
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.leakage import BoolArray, check_leakage

HEAD = """# The leakage check on real data

    python runs/measure_leakage.py --data DIR{embedder}

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
    parser.add_argument("--embedder", help="group MMLU's questions by this embedder too")
    parser.add_argument("--cache", type=Path, help="keep its vectors in this folder")
    parser.add_argument("--output", type=Path, default=home / "results" / "leakage.md")
    arguments = parser.parse_args()
    outcomes = find_reader("matrix")(arguments.data / "train" / "mmlu_pro_34models.parquet").table
    benchmark = arguments.data / "benchmarks" / "routellm" / "mmlu"
    questions = find_reader("routellm-eval")(benchmark, decontaminate=False).table.prompts
    embedders = [load_embedder("static")]
    if arguments.embedder is not None:
        other = load_embedder(arguments.embedder)
        embedders.append(other if arguments.cache is None else cached(other, arguments.cache))
    page = flag_table(
        outcomes.prompts,
        questions,
        outcomes.table["in_routellm_mmlu_eval"].to_numpy(),
        embedders,
    )
    page += group_table(questions, embedders)
    arguments.output.write_text(page)
    print(page)


def flag_table(
    training: Sequence[str],
    questions: Sequence[str],
    flagged: BoolArray,
    embedders: Sequence[Embedder],
) -> str:
    """Compare each check's finds with the flags; near-duplicates by the first embedder."""
    start_s = time.perf_counter()
    whole = np.zeros(len(training), dtype=np.bool_)
    whole[contained_questions(training, questions).training_rows] = True
    whole_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    report = check_leakage(training, questions, embedders[0])
    report_s = time.perf_counter() - start_s
    lines = [
        _row("whole prompts, by their text", whole, flagged, whole_s),
        _row("also without options, by their text", report.contained, flagged, report_s),
        _row("near-duplicates", report.near, flagged, report_s),
        _row("all of `check-leakage`", report.leaked, flagged, report_s),
    ]
    head = HEAD.format(
        embedder="".join(f" --embedder {_label(each)}" for each in embedders[1:]),
        n_training=len(training),
        n_evaluation=len(questions),
        n_flagged=int(flagged.sum()),
    )
    return head + "\n".join(lines) + "\n\nThe last three are one run, of the seconds given.\n"


def _row(name: str, found: BoolArray, flagged: BoolArray, elapsed_s: float) -> str:
    n_both = int((found & flagged).sum())
    precision = n_both / max(1, int(found.sum()))
    recall = n_both / int(flagged.sum())
    return f"| {name} | {found.sum():,} | {precision:.4f} | {recall:.4f} | {elapsed_s:.0f} |"


def group_table(questions: Sequence[str], embedders: Sequence[Embedder]) -> str:
    """Group MMLU's questions by each embedder, with and without the words' say."""
    lines = [
        "",
        f"Near-duplicates among the {len(questions):,} MMLU questions, cosine of .95 or more:",
        "",
        "| embedder | Jaccard of five-word runs | pairs proposed | groups merged | rows in them "
        "| largest merged | over 1%, not merged |",
        "|---|---|---|---|---|---|---|",
    ]
    for embedder in embedders:
        embeddings = embedder.embed(questions)
        for label, min_jaccard in ((".6 or more", MIN_JACCARD), ("not asked", 0.0)):
            pairs = find_near_duplicates(
                questions, embeddings, questions, embeddings, min_jaccard=min_jaccard
            )
            chains = Chains(len(questions))
            chains.join(pairs.left_index, pairs.right_index)
            groups = merge_groups(chains.roots())
            n_proposed = (pairs.n_proposed - len(questions)) // 2  # not with itself, and not twice
            oversized = ", ".join(str(size) for size in groups.oversized) or "none"
            lines.append(
                f"| `{_label(embedder)}` | {label} | {n_proposed:,} | {len(groups.sizes):,} "
                f"| {sum(groups.sizes):,} | {max(groups.sizes, default=0)} | {oversized} |"
            )
    lines += ["", "Embedders' digests: " + ", ".join(map(_digest, embedders)) + "."]
    return "\n".join(lines) + "\n"


def _label(embedder: Embedder) -> str:
    """Return an embedder's name without the folders above its own."""
    kind, colon, where = embedder.identity.name.partition(":")
    is_folder = bool(where) and Path(where).is_dir()
    return f"{kind}{colon}{Path(where).name if is_folder else where}"


def _digest(embedder: Embedder) -> str:
    return f"`{_label(embedder)}` {embedder.identity.digest[:12]}"


if __name__ == "__main__":
    main()
