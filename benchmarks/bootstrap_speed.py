"""The bootstrap behind every figure: how fast, and how near the curve of repeated prompts.

    python benchmarks/bootstrap_speed.py --output results/bootstrap_speed.md

Scores and outcomes are drawn at random, as many as MMLU has: no data is needed.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np

from routecast.evaluate.exact import exact_figures
from routecast.evaluate.figures import study_figures
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.pair import PairArrays
from routecast.stats.bootstrap import resample_counts
from routecast.types import FloatArray

N_PROMPTS = 14_042
N_ROUTERS = 6
N_RESAMPLES = 10_000
N_CHECKED = 5
SEED = 0


def main() -> None:
    """Measure, check and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=Path("results/bootstrap_speed.md"))
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    weak, strong = rng.random((2, N_PROMPTS)) < np.array([[0.68], [0.81]])
    weak_cost, strong_cost = rng.gamma(2.0, 1e-4, N_PROMPTS), rng.gamma(2.0, 5e-3, N_PROMPTS)
    pair = PairArrays(weak_quality=weak * 1.0, strong_quality=strong * 1.0)
    priced = PairArrays(
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        weak_cost_usd=weak_cost,
        strong_cost_usd=strong_cost,
    )
    scores = {f"router {i}": rng.random(N_PROMPTS) for i in range(N_ROUTERS)}
    lines = [
        "| figures | wall s | processor s |",
        "|---|---:|---:|",
        line("orders: no costs, no probabilities", scores, pair, probabilities=()),
        line("two of six are win probabilities", scores, pair, probabilities=list(scores)[:2]),
        line("all six are win probabilities, costs known", scores, priced, probabilities=scores),
    ]
    worst = worst_difference(scores["router 0"], priced)
    machine = f"{os.cpu_count()} CPUs, Python {platform.python_version()}, numpy {np.__version__}"
    load = f"{os.getloadavg()[0]:.1f}"
    arguments.output.write_text(
        f"""# Speed of the bootstrap

Made by `python benchmarks/bootstrap_speed.py`: `study_figures` on {N_PROMPTS:,} prompts,
{N_ROUTERS} routers with no two equal scores, {N_RESAMPLES:,} resamples for every figure, band and
difference (right or wrong outcomes at random).
{machine}; shared with other work, load average {load} at the end.

"""
        + "\n".join(lines)
        + f"""

Largest difference from the exact figures of the repeated prompts, on {N_CHECKED} resamples and
relative to the size of the figure where that is above 1: {worst:.1e}.
"""
    )
    print(arguments.output.read_text())


def line(
    what: str,
    scores: dict[str, FloatArray],
    pair: PairArrays,
    *,
    probabilities: "list[str] | dict[str, FloatArray] | tuple[str, ...]",
) -> str:
    """Time one study, as a row of a Markdown table."""
    wall_s, processor_s = time.perf_counter(), time.process_time()
    study_figures(
        scores,
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        weak_cost_usd=pair.weak_cost_usd,
        strong_cost_usd=pair.strong_cost_usd,
        probabilities=list(probabilities),
        compare=[(name, "random") for name in scores],
        n_resamples=N_RESAMPLES,
        seed=SEED,
    )
    wall_s, processor_s = time.perf_counter() - wall_s, time.process_time() - processor_s
    return f"| {what} | {wall_s:.1f} | {processor_s:.1f} |"


def worst_difference(scores: FloatArray, pair: PairArrays) -> float:
    """Compare a few resamples with the figures of the repeated prompts."""
    columns = [pair.weak_quality, pair.strong_quality, pair.weak_cost_usd, pair.strong_cost_usd]
    names = ("weak_quality", "strong_quality", "weak_cost_usd", "strong_cost_usd")
    known = {
        name: values for name, values in zip(names, columns, strict=True) if values is not None
    }
    samples = bootstrap_metrics(
        {"r": scores},
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        weak_cost_usd=pair.weak_cost_usd,
        strong_cost_usd=pair.strong_cost_usd,
        probabilities=["r"],
        n_resamples=N_CHECKED,
        seed=SEED,
    )
    drawn = next(resample_counts(len(scores), n_resamples=N_CHECKED, seed=SEED))
    worst = 0.0
    for resample, count in enumerate(drawn):
        rows = np.repeat(np.arange(len(scores)), count)
        repeated = PairArrays(**{name: values[rows] for name, values in known.items()})
        for name, value in exact_figures(scores[rows], repeated, is_probability=True).items():
            found = float(samples.samples("r", name)[resample])
            worst = max(worst, abs(found - value) / max(1.0, abs(value)))
    return worst


if __name__ == "__main__":
    main()
