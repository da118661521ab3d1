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
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from zlib import crc32

import numpy as np

from routecast.data.readers.registry import find_reader
from routecast.embed.static import load_static
from routecast.routers.blend import BoundBlend
from routecast.routers.blend_kernel import describe
from routecast.train.blend import Labels, fit_blend
from routecast.types import AnyArray, FloatArray

N_LABELS, N_CENTRES, SEED = 1_531, 1_000, 20261121
LENGTHS = (315, 4_000)
N_ROUNDS, N_CALLS, N_WALK, N_BULK, N_BULK_ROUNDS = 15, 20, 400, 2_000, 5
STRONG, WEAK = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
Score = Callable[[str], object]
PIECE = re.compile(r"[A-Za-z]+|\d+|\n|[^\sA-Za-z\d]")


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
    found = [bound.blend.predict_one(one, embed([one])[0])[0] for one in checked]
    apart = float(np.abs((1.0 + np.array(found)) / 2.0 - expected).max())
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
    model = fit_blend(describe(labelled, embedder.embed(labelled)), labels).model
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
        "embedder scores others. Microseconds per prompt, embedding included: the tenth "
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
    """The formulas as they are written, in double precision and with a step for every word.

    It has nothing of routecast's but the tensors of an artifact.
    """

    def __init__(self, tensors: Mapping[str, AnyArray]) -> None:
        """Lay out the centres: dense terms, and shares of topics."""
        self.tensors = {name: np.asarray(value, np.float64) for name, value in tensors.items()}
        self.sizes = tensors["topic_sizes"].astype(np.int64)
        self.topics = np.array([self.topics_of(one) for one in self.tensors["embeddings"]])
        self.words, self.shapes = (self.dense(tensors, kind) for kind in ("word", "shape"))

    def dense(self, tensors: Mapping[str, AnyArray], kind: str) -> FloatArray:
        """Return the weights of the centres' terms, shape (n_slots, n_centres)."""
        ends = tensors[f"{kind}_ends"]
        columns = np.zeros((len(tensors[f"{kind}_rarities"]), len(ends) - 1))
        for row, (start, end) in enumerate(pairwise(ends.tolist())):
            slots = tensors[f"{kind}_slots"][start:end]
            columns[slots, row] = tensors[f"{kind}_values"][start:end]
        return columns

    def win_probability(self, prompt: str, embedding: FloatArray) -> float:
        """Return P(strong wins) before calibration, abstaining on nothing."""
        t = self.tensors
        content = 2.0 * mixture(np.exp(t["embeddings"] @ embedding - 1.0))
        content += 2.0 * self.cosines(words_of(prompt[:4_096]), "word", self.words)
        content += self.topics @ self.topics_of(embedding)
        surface = (surface_of(prompt) - t["surface_means"]) / t["surface_deviations"]
        surface = np.clip(surface, -4.0, 4.0) / math.sqrt(len(surface))
        form = mixture(np.exp(((t["surfaces"] - surface) ** 2).sum(axis=1) / -4.0))
        form += np.exp(4.0 * self.cosines(shapes_of(prompt[:4_096]), "shape", self.shapes) - 4.0)
        weight = t["form_weight"][0]
        kernel = content / 5.0 * (1.0 - weight + weight * form / 2.0)
        slope = t["length_slope"][0] * surface[0] * math.sqrt(len(surface))
        return float(1.0 + t["intercept"][0] + slope + kernel @ t["coefficients"]) / 2.0

    def cosines(self, terms: Iterable[str], kind: str, columns: FloatArray) -> FloatArray:
        """Return the cosines of a prompt's terms with each centre's."""
        hashes = [crc32(term.encode("utf-8", "surrogatepass")) for term in terms]
        counts = Counter(one % len(columns) for one in hashes)
        weights = np.array([1.0 + math.log(n) for n in counts.values()])
        weights *= self.tensors[f"{kind}_rarities"][list(counts)]
        weights /= np.linalg.norm(weights) or 1.0
        return np.asarray(weights @ columns[list(counts)])

    def topics_of(self, embedding: FloatArray) -> FloatArray:
        """Return the shares of topics of one embedding."""
        centred = embedding - self.tensors["topic_mean"]
        centred /= max(float(np.linalg.norm(centred)), 1e-9)
        shares = np.split(
            np.exp(12.0 * (self.tensors["topic_centroids"] @ centred)), np.cumsum(self.sizes)[:-1]
        )
        scaled = [one / np.linalg.norm(one) for one in shares]
        return np.asarray(np.concatenate(scaled) / len(shares) ** 0.5)


def mixture(values: FloatArray) -> FloatArray:
    """Return the mean of three powers."""
    return (values + values**2 + values**4) / 3.0


def words_of(text: str) -> list[str]:
    """Return the words in small letters."""
    return re.findall(r"\w+", text.lower())


def shapes_of(text: str) -> list[str]:
    """Return the shapes of a text's pieces, and of each two."""
    shapes = [shape_of(piece) for piece in PIECE.findall(text)]
    return [*shapes, *(f"{first} {second}" for first, second in pairwise(shapes))]


def shape_of(piece: str) -> str:
    """Return the shape of one piece."""
    if piece.isdecimal():
        return f"d{min(len(piece), 4)}"
    if not (piece.isascii() and piece.isalpha()):
        return piece
    is_upper = piece.isupper() and len(piece) > 1
    case = "AA" if is_upper else "Aa" if piece[0].isupper() else "a"
    return f"{case}{1 + (len(piece) > 3) + (len(piece) > 7)}"


def surface_of(prompt: str) -> FloatArray:
    """Return the 15 surface features, counting character by character."""
    text = prompt[:8_192]
    words = text.lower().split()
    n_characters, n_words = len(text) + 1, len(words) or 1
    n_lines = text.count("\n")
    return np.array(
        [
            math.log1p(len(prompt)),
            math.log1p(len(words) * max(1.0, len(prompt) / 8_192)),
            len(text) / n_words,
            sum(one in "0123456789" for one in text) / n_characters,
            sum("A" <= one <= "Z" for one in text) / n_characters,
            sum(one in "+-*/=^<>\\{}()[]_$" for one in text) / n_characters,
            n_lines / n_words,
            text.count("?") / n_words,
            math.log1p(n_lines),
            math.log1p(text.count("$")),
            sum(ord(one) > 127 for one in text) / n_characters,
            len(set(words)) / n_words,
            "```" in text or "def " in text,
            sum(map(len, words)) / n_words,
            math.log1p(len(re.findall("[0-9]+", text))),
        ]
    )


if __name__ == "__main__":
    main()
