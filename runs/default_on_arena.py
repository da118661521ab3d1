"""Write the quantiles of the default router's win probability on prompts of Chatbot Arena.

    python -m runs.default_on_arena --data DIR

From them `routecast config check` and `serve` state which share of that traffic goes to the strong
model. Run it again whenever the default router changes; a test compares their digests. The prompts
stay where they are: 1,001 quantiles ship.
"""

import argparse
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from routecast.artifacts import load_router
from routecast.artifacts.arena import TABLE_NAME, ArenaQuantiles, default_manifest_sha256
from routecast.calibrate.quantiles import win_probability_quantiles


def main() -> None:
    """Score, summarise, write."""
    arguments = _arguments()
    table = pl.read_parquet(arguments.data / "train" / "arena_topic_prompts.parquet")
    prompts = table["prompt"].unique(maintain_order=True).to_list()
    scores = load_router().router.win_probabilities(prompts)
    quantiles = ArenaQuantiles(
        sample=f"{len(prompts):,} prompts of Chatbot Arena",
        n_prompts=len(prompts),
        manifest_sha256=default_manifest_sha256(),
        win_probability_quantiles=tuple(np.round(win_probability_quantiles(scores), 6).tolist()),
    )
    arguments.output.write_bytes(msgspec.json.encode(quantiles) + b"\n")
    print(f"wrote {arguments.output}")


def _arguments() -> argparse.Namespace:
    models = Path(__file__).parents[1] / "src" / "routecast" / "models"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--output", type=Path, default=models / TABLE_NAME)
    return parser.parse_args()


if __name__ == "__main__":
    main()
