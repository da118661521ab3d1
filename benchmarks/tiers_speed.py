"""Tiers of two Arena files: how fast, where they are cut, and whether two sources agree.

    python benchmarks/tiers_speed.py --data DIR --output results/tiers.md

DIR holds train/arena_votes_10k_noprompt.parquet and train/arena_leaderboard_2025-12.parquet.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from routecast.data.rating_files import FileRatings, read_ratings
from routecast.data.ratings import rate_models
from routecast.data.tiers import TierTable, assign_tiers
from routecast.stats.bradley_terry import fit_strengths
from routecast.stats.partition import partition_values
from routecast.types import FloatArray

N_RESAMPLES = 10_000
SEED = 0


def main() -> None:
    """Measure everything and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("ROUTECAST_DATA"))
    parser.add_argument("--output", type=Path, default=Path("results/tiers.md"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of shared data by --data or ROUTECAST_DATA")
    folder = Path(arguments.data) / "train"
    votes = read_ratings(folder / "arena_votes_10k_noprompt.parquet")
    board = read_ratings(folder / "arena_leaderboard_2025-12.parquet")
    sections = [
        HEADER,
        "## Speed\n",
        *speed_table(board),
        "\n## Agreement of the two sources\n",
        *agreement(votes, board),
        "\n## Tiers of 10,000 Arena votes\n",
        f"{len(votes.models)} models; ratings by Bradley-Terry, mean 1000.\n",
        *boundaries(assign_tiers(votes.models)),
        "\n## Tiers of the Arena leaderboard of December 2025\n",
        f"{len(board.models)} models, category {board.category!r}; ratings as published.\n",
        *boundaries(assign_tiers(board.models)),
    ]
    arguments.output.write_text("\n".join(sections) + "\n")
    print(arguments.output.read_text())


HEADER = """# Ratings and tiers

Made by `python benchmarks/tiers_speed.py --data DIR`, DIR being the folder of shared data. The
tables with every model: `routecast data tiers FILE`.
"""


def median_ms(call: Callable[[], object], n_runs: int) -> float:
    """Time a call some times over, after one that does not count."""
    call()
    times_s = []
    for _ in range(n_runs):
        start_s = time.perf_counter()
        call()
        times_s.append(time.perf_counter() - start_s)
    return 1000 * statistics.median(times_s)


def speed_table(board: FileRatings) -> list[str]:
    """One line per kind of work, as a Markdown table."""
    generator = np.random.default_rng(SEED)
    ratings = np.array([member.rating for member in board.models])
    names = [f"model-{i}" for i in range(100)]
    drawn = generator.integers(0, 100, (2, 100_000))
    model_a, model_b = ([names[i] for i in side] for side in drawn)
    outcomes = generator.choice([0.0, 0.5, 1.0], 100_000)
    large = generator.gamma(1.0, 10.0, (282, 282))
    stack = generator.gamma(1.0, 10.0, (10_000, 10, 10))
    measured = {
        "282 ratings into 10 tiers": median_ms(lambda: partition_values(ratings, 10), 50),
        "the same, with the table of tiers": median_ms(lambda: assign_tiers(board.models), 50),
        "Bradley-Terry, one problem of 282 models": median_ms(lambda: fit_strengths(large), 10),
        "Bradley-Terry, 10,000 problems of 10 tiers at once": median_ms(
            lambda: fit_strengths(stack), 3
        ),
        "100,000 comparisons of 100 models to ratings and intervals": median_ms(
            lambda: rate_models(model_a, model_b, outcomes), 3
        ),
    }
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, numpy {np.__version__}"
    return [
        f"Medians, on a machine shared with other work ({machine}).\n",
        "| what | ms |",
        "|---|---:|",
        *(f"| {what} | {time_ms:,.1f} |" for what, time_ms in measured.items()),
    ]


def agreement(votes: FileRatings, board: FileRatings) -> list[str]:
    """Spearman's correlation over the models that both sources rate."""
    on_board = {member.model: member for member in board.models}
    rated = [member for member in votes.models if member.model in on_board]
    ours = np.array([member.rating for member in rated])
    theirs = np.array([on_board[member.model].rating for member in rated])
    draws = np.random.default_rng(SEED).integers(0, len(rated), (N_RESAMPLES, len(rated)))
    resampled = spearman(ours[draws], theirs[draws])
    low, high = np.quantile(resampled, [0.025, 0.975])
    shifted = theirs - theirs.mean() + ours.mean()
    lows = np.array([member.rating_low for member in rated], dtype=np.float64)
    highs = np.array([member.rating_high for member in rated], dtype=np.float64)
    inside = int(np.sum((lows <= shifted) & (shifted <= highs)))
    slope = float(np.polyfit(theirs, ours, 1)[0])
    return [
        f"{len(votes.models)} models are in the votes, {len(board.models)} on the leaderboard, "
        f"{len(rated)} in both under one name.\n",
        f"- Spearman's correlation of the ratings: {float(spearman(ours, theirs)):.3f}, N = "
        f"{len(rated)} models, 95% interval {low:.3f} to {high:.3f} (percentiles of "
        f"{N_RESAMPLES:,} resamples of models, seed {SEED}).",
        f"- Leaderboard ratings, shifted to the same mean, inside the votes' 95% intervals: "
        f"{inside} of {len(rated)}.",
        f"- One leaderboard point is {slope:.2f} points from the votes (least squares).\n",
        "The votes' newest model is of August 2024 by its name, the board is of December 2025 and "
        "rests on other votes: perfect agreement is not expected. A tie, also one where both "
        "answers were bad, counts as half a win each.",
    ]


def spearman(first: FloatArray, second: FloatArray) -> FloatArray:
    """Correlation of ranks along the last axis, ties at their mean rank."""
    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    centred = [rank - rank.mean(axis=-1, keepdims=True) for rank in ranks]
    scale = np.sqrt(np.prod([(c**2).sum(axis=-1) for c in centred], axis=0))
    return np.asarray((centred[0] * centred[1]).sum(axis=-1) / scale)


def boundaries(table: TierTable) -> list[str]:
    """One line per tier, as a Markdown table."""
    rows = [
        f"| {tier.number} | {len(tier.models)} | {tier.lowest_rating:.0f} "
        f"| {tier.highest_rating:.0f} | {tier.models[0].model} |"
        for tier in table.tiers
    ]
    header = "| tier | models | lowest | highest | strongest model |"
    return [header, "|---:|---:|---:|---:|---|", *rows]


if __name__ == "__main__":
    main()
