"""Time `blend` on one prompt and on many, beside the embedder alone and its plain formulas.

    python benchmarks/blend_speed.py --data ../shared/data [--output results/blend_speed.md]

A router is fitted to 1,531 of RouteLLM's MMLU questions, drawn with a fixed seed, at 1,000 centres,
and scores others of them; long prompts are several of these in a row. All ways are timed in turn
in each round, in one process with one BLAS thread. Needs routecast with its extra `lab`; takes
about a minute.
"""

import argparse
import math
import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when numpy is loaded

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from routecast.data.readers.registry import find_reader
from routecast.embed.static import load_static
from routecast.routers.blend import FORM, N_DIRECTIONS, BoundBlend
from routecast.routers.ridge import SURFACE_SCALE
from routecast.routers.surface import features_of, surface_features
from routecast.train.blend import Labels, fit_blend
from routecast.types import AnyArray, FloatArray

N_LABELS, N_CENTRES, SEED = 1_531, 1_000, 20261121
LENGTHS = (315, 4_000)
N_ROUNDS, N_CALLS, N_WALK, N_BULK, N_BULK_ROUNDS = 15, 20, 400, 2_000, 5
STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
Score = Callable[[str], object]


def main() -> None:
    """Fit, measure, write and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ROUTECAST_DATA"))
    parser.add_argument("--output", type=Path, default=Path("results/blend_speed.md"))
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data is missing; give the folder of shared data")
    bound, others = fit_router(Path(options.data))
    plain = PlainBlend(bound.blend.tensors())
    embed = bound.embedder.embed

    def score_plainly(prompt: str) -> float:
        return plain.win_probability(prompt, embed([prompt])[0].astype(np.float64))

    def score_as_one_of_many(prompt: str) -> FloatArray:
        return bound.win_probabilities_from([prompt], embed([prompt]))

    ways: dict[str, Score] = {
        "the embedder alone": lambda prompt: embed([prompt]),
        "`blend`": bound.win_probability,
        "`blend`, a list of one": score_as_one_of_many,
        "its plain formulas": score_plainly,
    }
    tight = {n: time_again(ways, [prompt_of_length(others, n)]) for n in LENGTHS}
    walk = time_again(ways, others[:N_WALK], n_rounds=3)
    bulk = time_bulk(bound, others[:N_BULK])
    checked = others[:N_BULK]
    expected = np.array([score_plainly(prompt) for prompt in checked])
    found = bound.win_probabilities_from(checked, embed(checked))
    apart = float(np.abs(found - expected).max())
    page = page_of(tight, walk, bulk, apart)
    options.output.write_text(page)
    print(page)


def fit_router(folder: Path) -> tuple[BoundBlend, list[str]]:
    """Learn from some questions; return the router and the other questions."""
    read = find_reader("routellm-eval")
    table = read(folder / "benchmarks" / "routellm" / "mmlu", decontaminate=False).table
    prompts, gaps = table.prompts, table.pair(strong=STRONG, weak=WEAK).gap
    rows = np.random.default_rng(SEED).permutation(len(prompts))
    labelled = [prompts[row] for row in rows[:N_LABELS].tolist()]
    embedder = load_static()
    labels = Labels(
        gaps=gaps[rows[:N_LABELS]], weights=np.ones(N_LABELS), groups=np.arange(N_LABELS)
    )
    model = fit_blend(embedder.embed(labelled), surface_features(labelled), labels).model
    bound = model.bind(strong=[STRONG], weak=[WEAK], embedder=embedder)
    return bound, [prompts[row] for row in rows[N_LABELS:].tolist()]


def prompt_of_length(prompts: Sequence[str], n_characters: int) -> str:
    """Return questions in a row, cut off at so many characters."""
    texts: list[str] = []
    for prompt in prompts:
        texts.append(prompt)
        if sum(map(len, texts)) + len(texts) > n_characters:
            break
    return "\n".join(texts)[:n_characters]


def time_again(
    ways: dict[str, Score], prompts: Sequence[str], *, n_rounds: int = N_ROUNDS
) -> dict[str, FloatArray]:
    """Return the microseconds of every call, each way in turn in each round, warmed up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    calls = [prompt for prompt in prompts for _ in range(N_CALLS if len(prompts) == 1 else 1)]
    for _ in range(n_rounds):
        for name, score in ways.items():
            for prompt in calls[:5]:
                score(prompt)
            for prompt in calls:
                start = perf_counter()
                score(prompt)
                seconds[name].append(perf_counter() - start)
    return {name: 1e6 * np.array(values) for name, values in seconds.items()}


def time_bulk(bound: BoundBlend, prompts: Sequence[str]) -> FloatArray:
    """Return the microseconds per prompt of all at once, once per round."""
    seconds = []
    for _ in range(N_BULK_ROUNDS):
        start = perf_counter()
        bound.win_probabilities(prompts)
        seconds.append(perf_counter() - start)
    return 1e6 * np.array(seconds) / len(prompts)


def page_of(
    tight: dict[int, dict[str, FloatArray]],
    walk: dict[str, FloatArray],
    bulk: FloatArray,
    apart: float,
) -> str:
    """Write the figures down."""
    lines = [
        "# Speed of `blend`",
        "",
        "    python benchmarks/blend_speed.py --data DIR",
        "",
        f"A router of {N_LABELS:,} MMLU questions at {N_CENTRES:,} centres with the static "
        "embedder scores others, without the guard that `train` adds, which scores some prompts in "
        "parts too. Microseconds per prompt, embedding included: the tenth "
        "percentile, then the median and its quartiles over calls. All ways in turn in each round, "
        "one process, one BLAS thread. Load of the machine at the end "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, so trust the ratios. "
        f"Python {platform.python_version()}, numpy {np.__version__}.",
    ]
    for n_characters, timings in tight.items():
        title = f"One prompt of {n_characters:,} characters again and again"
        lines += table_of(title, timings)
    lines += table_of(f"{N_WALK} different prompts, one after the other", walk)
    low, median, high = np.quantile(bulk, (0.25, 0.5, 0.75))
    lines += [
        "",
        f"All at once, {N_BULK:,} prompts, {N_BULK_ROUNDS} rounds: {median:.0f} [{low:.0f}, "
        f"{high:.0f}] microseconds per prompt.",
        "",
        f"Largest difference of the win probability from the plain formulas on {N_BULK:,} prompts: "
        f"{apart:.1e}.",
        "",
    ]
    return "\n".join(lines)


def table_of(title: str, timings: dict[str, FloatArray]) -> list[str]:
    """Write one table."""
    n_calls = len(next(iter(timings.values())))
    plain, embedder = timings["its plain formulas"], timings["the embedder alone"]
    lines = [
        "",
        f"## {title} ({n_calls:,} calls)",
        "",
        "| way | p10 | median | plain formulas over it | it over the embedder |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, values in timings.items():
        tenth, low, median, high = np.quantile(values, (0.1, 0.25, 0.5, 0.75))
        lines.append(
            f"| {name} | {tenth:.0f} | {median:.0f} [{low:.0f}, {high:.0f}] "
            f"| {np.median(plain) / median:.1f} | {median / np.median(embedder):.1f} |"
        )
    return lines


class PlainBlend:
    """The formulas as they are written, in double precision, a centre after the other.

    It has nothing of routecast's but the tensors of an artifact, the counts and the constants.
    """

    def __init__(self, tensors: Mapping[str, AnyArray]) -> None:
        """Take an artifact's tensors."""
        self.tensors = {name: np.asarray(value, np.float64) for name, value in tensors.items()}

    def win_probability(self, prompt: str, embedding: FloatArray) -> float:
        """Return P(strong wins) before calibration, abstaining on nothing."""
        t = self.tensors
        counts = (np.array(features_of(prompt)) - t["surface_means"]) / t["surface_deviations"]
        counts = np.clip(counts, -3.0, 3.0)
        centred = embedding - t["embedding_mean"]
        coarse = [centred @ t["directions"][:, :n] for n in N_DIRECTIONS]
        parts = [unit(centred), *(unit(part) / math.sqrt(len(coarse)) for part in coarse)]
        x = np.concatenate([*parts, math.sqrt(FORM) * SURFACE_SCALE * counts])
        gap = t["intercept"][0] + t["slope"][0] * counts[0]
        for centre, coefficient in zip(t["centres"], t["coefficients"], strict=True):
            gap += coefficient * math.exp(-((x - centre) @ (x - centre)) / 2.0)
        return float(1.0 + gap) / 2.0


def unit(vector: FloatArray) -> FloatArray:
    """Return the direction of a vector."""
    return np.asarray(vector / np.linalg.norm(vector))


if __name__ == "__main__":
    main()
