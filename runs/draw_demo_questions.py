"""Draw the questions of `routecast demo` from GSM8K as RouteLLM published it.

    python runs/draw_demo_questions.py --data DIR

Writes src/routecast/demo/data/gsm8k.jsonl.gz: 300 questions to learn from, then 1,000 held
out, nearly all that remain. They are drawn with seed 0 from what is not on the decontamination
list; of near-duplicates one may be.
"""

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from routecast.data.near_duplicates import group_near_duplicates
from routecast.data.readers.routellm_eval import read_routellm_eval
from routecast.demo.questions import MODEL_NAMES, QUESTIONS_FILE
from routecast.embed.registry import load_embedder

N_LEARNED, N_HELD_OUT = 300, 1_000
SEED = 0


def draw_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of the file, in its order.

    Args:
        folder: With ``gsm8k_responses.csv`` and ``contaminated_prompts.jsonl``.
    """
    table = read_routellm_eval(folder).table.table
    strong, weak = MODEL_NAMES["strong"], MODEL_NAMES["weak"]
    prompts = table["prompt"].to_list()
    embedder = load_embedder("static")
    groups = group_near_duplicates(
        prompts, lambda rows: embedder.embed([prompts[row] for row in rows.tolist()])
    ).labels
    firsts = np.unique(groups)  # a group is named by its first row
    n_drawn = N_LEARNED + N_HELD_OUT
    drawn = np.random.default_rng(SEED).permutation(firsts)[:n_drawn]
    return [
        {
            "prompt": row["prompt"],
            "strong": row[f"answer|{strong}"],
            "weak": row[f"answer|{weak}"],
            "is_strong_right": row[f"quality|{strong}"] == 1,
            "is_weak_right": row[f"quality|{weak}"] == 1,
            "is_held_out": number >= N_LEARNED,
        }
        for number, row in enumerate(table[drawn].iter_rows(named=True))
    ]


def file_bytes(rows: list[dict[str, Any]]) -> bytes:
    """Return the compressed file, the same bytes for the same rows and version of zlib."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return gzip.compress(lines.encode(), mtime=0)


def main() -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="The folder of shared data.")
    folder = parser.parse_args().data / "benchmarks" / "routellm" / "gsm8k"
    written = file_bytes(draw_rows(folder))
    QUESTIONS_FILE.write_bytes(written)
    print(f"{QUESTIONS_FILE.name}: {len(written):,} bytes")


if __name__ == "__main__":
    main()
