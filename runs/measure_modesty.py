"""Measure how far the default router's win probabilities are from the base rate, near and far.

    python runs/measure_modesty.py --data DIR [--router FOLDER] [--output FILE]

Near are the held-out prompts that it was calibrated on, of the tasks that it learned from; far are
prompts of other kinds, and texts that are no prompts at all. A router that knows nothing about a
text should say the base rate. Writes a page and, beside it, a picture of the same name. No
prompt's text is written. Takes half a minute.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from routecast.artifacts import LoadedRouter, load_router
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.knn import BoundKnn
from routecast.routers.length import LengthRouter
from routecast.types import FloatArray

SEED = 20261121
N_MADE = 500
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
SETS = {  # read for their prompts only: file and column
    "RouterDC": ("routerdc_7models", "query"),
    "natural questions": ("javidlakha_llama3_1Bvs70B", "query"),
    "AlpacaEval": ("alpacaeval2_vs_gpt4turbo", "prompt"),
    "Arena prompts": ("arena_topic_prompts", "prompt"),
}
ALPHABETS = {
    "Arabic": (0x627, 0x64B),
    "Chinese": (0x4E00, 0xA000),
    "Cyrillic": (0x430, 0x450),
    "Devanagari": (0x905, 0x93A),
    "Hangul": (0xAC00, 0xD7A4),
    "ASCII": (0x21, 0x7F),
}


@dataclass(frozen=True)
class Spread:
    """Win probabilities of one kind of text.

    Attributes:
        name: As the page calls it.
        n_texts: How many.
        quantiles: At `SHARES`.
        distance: Root mean square distance from the base rate, with its 95% interval over texts.
        length_distance: The same of the `length` router, around the base rate.
    """

    name: str
    n_texts: int
    quantiles: FloatArray
    distance: tuple[float, float, float]
    length_distance: float


def main() -> None:
    """Read, score, write the page and the picture."""
    arguments = _arguments()
    loaded = load_router(arguments.router)
    base = base_rate(loaded)
    texts = {**real_texts(arguments.data), **made_texts(arguments.data)}
    near = near_spread(loaded, base)
    spreads = [near, *(spread_of(name, those, loaded, base) for name, those in texts.items())]
    picture = arguments.output.with_suffix(".svg")
    draw(spreads, base, picture)
    page = page_of(spreads, base, picture.name)
    arguments.output.write_text(page)
    print(page)


def base_rate(loaded: LoadedRouter) -> float:
    """Return the win probability of a text that the router knows nothing about."""
    router = loaded.router
    if not (isinstance(router, CalibratedRouter) and isinstance(router.router, BoundKnn)):
        raise SystemExit(f"{loaded.name!r} is no calibrated knn router; give one")
    mean_gap = router.router.knn.base_gap
    return float(router.calibration.apply(np.array([(1.0 + mean_gap) / 2.0]))[0])


def real_texts(folder: Path) -> dict[str, list[str]]:
    """Read the prompts of sets that the router has not learned from."""
    import polars as pl

    home = folder / "benchmarks" / "routellm"
    texts = {name: list(load_benchmark(name, home).pair.prompts) for name in benchmark_names()}
    for name, (file, column) in SETS.items():
        table = pl.read_parquet(folder / "train" / f"{file}.parquet", columns=[column])
        texts[name] = table[column].drop_nulls().unique(maintain_order=True).to_list()
    return texts


def made_texts(folder: Path) -> dict[str, list[str]]:
    """Make texts that nobody would write, and texts far longer than any labelled prompt."""
    draw_from = random.Random(SEED)  # noqa: S311 (nothing is secret here)
    tokenizer = Path(str(files("routecast"))) / "models" / "static" / "tokenizer.json"
    vocabulary = sorted(Tokenizer.from_file(str(tokenizer)).get_vocab())
    words = [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2]
    texts = {
        f"{n_words} words at random": [
            " ".join(draw_from.choices(words, k=n_words)) for _ in range(N_MADE)
        ]
        for n_words in (8, 30, 300)
    }
    for name, (first, end) in ALPHABETS.items():
        letters = [chr(code) for code in range(first, end)]
        texts[f"{name} letters at random"] = [
            "".join(draw_from.choices(letters, k=draw_from.randint(10, 400))) for _ in range(N_MADE)
        ]
    questions = load_benchmark("mmlu", folder / "benchmarks" / "routellm").pair.prompts
    texts["500 questions of MMLU in one"] = [
        "\n".join(draw_from.choices(questions, k=500)) for _ in range(N_MADE // 10)
    ]
    return texts


def near_spread(loaded: LoadedRouter, base: float) -> Spread:
    """Describe the calibration sample, of which the manifest keeps 1,001 quantiles."""
    quantiles, sample = loaded.win_probability_quantiles, loaded.calibration_sample
    if quantiles is None or sample is None:
        raise SystemExit(f"{loaded.name!r} has no calibration sample; train one")
    distance = float(np.sqrt(np.mean((quantiles - base) ** 2)))
    n_texts = int(sample.partition(" ")[0].replace(",", ""))
    at_shares = np.quantile(quantiles, SHARES)
    return Spread("near: calibration sample", n_texts, at_shares, (distance,) * 3, np.nan)


def spread_of(name: str, texts: Sequence[str], loaded: LoadedRouter, base: float) -> Spread:
    """Score texts and describe the scores."""
    scores = loaded.router.win_probabilities(texts)
    squares = (scores - base) ** 2
    half = 1.96 * float(squares.std()) / len(texts) ** 0.5
    bounds = [max(float(squares.mean()) + side * half, 0.0) ** 0.5 for side in (0, -1, 1)]
    by_length = LengthRouter().win_probabilities(texts) - base
    return Spread(
        name,
        len(texts),
        np.quantile(scores, SHARES),
        (bounds[0], bounds[1], bounds[2]),
        float(np.sqrt(np.mean(by_length**2))),
    )


def page_of(spreads: Sequence[Spread], base: float, picture: str) -> str:
    """Write the figures as a page for results/."""
    near = spreads[0].distance[0]
    lines = [
        "# The default router's modesty",
        "",
        "    python runs/measure_modesty.py --data DIR",
        "",
        f"Of a text like nothing that it learned from, the router should say its base rate, "
        f"{base:.4f}. Distance: root mean square of win probability less base rate, with a 95% "
        "interval over texts (normal, of the mean square), and as a share of that of "
        "the calibration sample, prompts of its own tasks that it was not fitted on (of which "
        "1,001 quantiles are kept, each task of equal weight). Beside it the distance of "
        "`length`, which knows no domain, from the same rate (`random`'s is at least 0.289).",
        "",
        f"![Win probabilities near and far]({picture})",
        "",
        "| texts | N | 5% | median | 95% | distance | share of the near one | `length` |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in spreads:
        low, _, median, _, high = one.quantiles
        value, *interval = one.distance
        bounds = "" if one is spreads[0] else " [{:.4f}, {:.4f}]".format(*interval)
        length = "" if one is spreads[0] else f"{one.length_distance:.3f}"
        lines.append(
            f"| {one.name} | {one.n_texts:,} | {low:.3f} | {median:.3f} | {high:.3f} | "
            f"{value:.4f}{bounds} | {value / near:.0%} | {length} |"
        )
    return "\n".join(lines) + "\n"


def draw(spreads: Sequence[Spread], base: float, path: Path) -> None:
    """Draw the middle 90% and 50% and the median of each kind of text."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "routecast", "font.size": 9.0}):
        figure = Figure(figsize=(6.4, 0.27 * len(spreads) + 0.8), layout="constrained")
        axes = figure.subplots()
        for place, one in enumerate(spreads):
            low, lower, median, upper, high = one.quantiles
            color = "#0b5cad" if place == 0 else "#6a7078"
            axes.plot([low, high], [place, place], color=color, linewidth=1.2)
            axes.plot([lower, upper], [place, place], color=color, linewidth=5, alpha=0.5)
            axes.plot(median, place, "o", color=color, markersize=4)
        axes.axvline(base, color="#c44d00", linewidth=0.8, linestyle="--")
        axes.set_yticks(range(len(spreads)), [f"{one.name} ({one.n_texts:,})" for one in spreads])
        axes.invert_yaxis()
        axes.set_xlabel("win probability: middle 90%, middle half, median; dashed the base rate")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--router", default="default", help="a knn router's folder")
    parser.add_argument("--output", type=Path, default=home / "results" / "modesty.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
