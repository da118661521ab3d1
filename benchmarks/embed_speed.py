"""Time the static embedder beside the plain way of doing the same.

    python benchmarks/embed_speed.py --data ../shared/data --output results

Writes `embed_speed.md` and `embed_speed.json`. Baselines in the same run: the `tokenizers`
library and a mean of the same vectors, and model2vec's own `StaticModel` on the same files where
model2vec is installed. Needs routecast with its extra `lab`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from routecast.data.readers.registry import find_reader
from routecast.embed.static import MAX_BYTES, StaticEmbedder, load_static
from routecast.embed.static_folder import StaticFolder, read_static_folder
from routecast.types import AnyArray, EmbeddingArray

SHIPPED = Path(__file__).parents[1] / "src" / "routecast" / "models" / "static"
N_ROUNDS = 15
N_BULK_ROUNDS = 5
N_CORES = 4
Embed = Callable[[Sequence[str]], EmbeddingArray]
Timings = dict[str, list[float]]


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("ROUTECAST_DATA"))
    parser.add_argument("--output", type=Path, default=Path("results"))
    options = parser.parse_args()
    if options.data is None:
        parser.error("--data is missing; give the folder of shared data")
    home = options.data / "benchmarks" / "routellm"
    read = find_reader("routellm-eval")
    mt_bench = read(home / "mt_bench", decontaminate=False).table.prompts
    mmlu = read(home / "mmlu", decontaminate=False).table.prompts
    folder = read_static_folder(SHIPPED)
    report: dict[str, dict[str, Any]] = {
        "machine": {
            "text": f"{os.cpu_count()} cores of {platform.machine()}, "
            f"Python {platform.python_version()}"
        },
        "versions": {name: version(name) for name in ("numpy", "tokenizers")},
        "one_prompt_us": summarise(time_one(folder, mt_bench), scale=1e6),
        "bulk_prompts_per_s": summarise(time_bulk(folder, mmlu)),
        "megabyte_ms": time_megabytes(load_static()),
        "loading": measure_loading(),
        "agreement": check_agreement(folder, options.data),
    }
    page = format_page(report, n_one=len(mt_bench), n_bulk=len(mmlu))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "embed_speed.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.output / "embed_speed.md").write_text(page)
    print(page)


def baselines(folder: StaticFolder) -> dict[str, Embed]:
    """Return the plain ways, by name."""
    library = Tokenizer.from_buffer(folder.tokenizer_json)

    def plain(texts: Sequence[str]) -> EmbeddingArray:
        encodings = library.encode_batch_fast(list(texts), add_special_tokens=False)
        means = np.stack([folder.vectors[encoding.ids].mean(axis=0) for encoding in encodings])
        unit: EmbeddingArray = means / np.linalg.norm(means, axis=1, keepdims=True)
        return unit

    found: dict[str, Embed] = {"tokenizers and mean": plain}
    if find_spec("model2vec"):
        model = import_module("model2vec").StaticModel(folder.vectors, library, normalize=True)
        found["model2vec"] = model.encode
    return found


def time_one(folder: StaticFolder, prompts: Sequence[str]) -> Timings:
    """Return per way the median over prompts of one prompt's seconds, once per round."""
    embedder, others = StaticEmbedder(folder), baselines(folder)
    timings: Timings = {name: [] for name in ("first sight", "known", *others)}
    for _ in range(N_ROUNDS):
        seconds: Timings = {name: [] for name in timings}
        for prompt in prompts:
            embedder.forget()
            seconds["first sight"].append(seconds_of(partial(embedder.embed, [prompt])))
            seconds["known"].append(seconds_of(partial(embedder.embed, [prompt])))
        for name, embed in others.items():
            seconds[name] = [seconds_of(partial(embed, [prompt])) for prompt in prompts]
        for name, values in seconds.items():
            timings[name].append(float(np.median(values)))
    return timings


def time_bulk(folder: StaticFolder, prompts: Sequence[str]) -> Timings:
    """Return per way the prompts per second over all prompts, once per round."""
    embedder, others = StaticEmbedder(folder), baselines(folder)
    names = ("cold, one process", "known, one process", f"cold, {N_CORES} threads")
    timings: Timings = {name: [] for name in (*names, f"cold, {N_CORES} processes", *others)}
    blocks = [prompts[at : at + 512] for at in range(0, len(prompts), 512)]
    for _ in range(N_BULK_ROUNDS):
        embedder.forget()
        timings[names[0]].append(seconds_of(partial(embedder.embed, prompts)))
        timings[names[1]].append(seconds_of(partial(embedder.embed, prompts)))
        embedder.forget()
        with ThreadPoolExecutor(N_CORES) as threads:
            timings[names[2]].append(seconds_of(lambda: list(threads.map(embedder.embed, blocks))))
        timings[f"cold, {N_CORES} processes"].append(seconds_in_processes(blocks))
        for name, embed in others.items():
            timings[name].append(seconds_of(partial(list, map(embed, blocks))))
    rates = {}
    for name, seconds in timings.items():
        rates[name] = [len(prompts) / value for value in seconds]
    return rates


_worker: list[StaticEmbedder] = []


def seconds_in_processes(blocks: Sequence[Sequence[str]]) -> float:
    """Time blocks in fresh processes that have loaded; each returns one number per prompt."""
    context = get_context("spawn")
    with ProcessPoolExecutor(N_CORES, mp_context=context, initializer=start_worker) as processes:
        barrier_like = [processes.submit(wait_s, 0.5) for _ in range(N_CORES)]
        for waiting in barrier_like:
            waiting.result()
        return seconds_of(lambda: list(processes.map(score_block, blocks)))


def start_worker() -> None:
    """Load the embedder of this process."""
    _worker.append(load_static())


def wait_s(seconds: float) -> None:
    """Keep a process busy, so that each of the others takes one of these too."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass


def score_block(block: Sequence[str]) -> AnyArray:
    """Score as a bound `mf` does: one dot product per prompt."""
    embeddings = _worker[0].embed(block)
    return embeddings @ np.ones(embeddings.shape[1], dtype=np.float32)


def seconds_of(action: Callable[[], object]) -> float:
    """Return the seconds that one call takes."""
    start = perf_counter()
    action()
    return perf_counter() - start


def time_megabytes(embedder: StaticEmbedder) -> dict[str, float]:
    """Return the milliseconds of hard texts of a million characters, at first sight."""
    texts = {
        "English words": "the quick brown fox " * 50_000,
        "one word": "a" * 1_000_000,
        "punctuation marks": "!" * 1_000_000,
        "letters that are no words": " ".join("qzxjkv" * 8 for _ in range(20_000)),
        "one Chinese character": "漢" * 1_000_000,
        "20,000 Chinese characters": "".join(chr(0x4E00 + at % 20_000) for at in range(1_000_000)),
        "Hangul": "안녕하세요 " * 170_000,
        "emoji": "😀" * 1_000_000,
        "lone surrogates": "\ud800" * 1_000_000,
    }
    timings = {}
    for name, text in texts.items():
        seconds = []
        for _ in range(N_BULK_ROUNDS):
            embedder.forget()
            seconds.append(seconds_of(partial(embedder.embed, [text])))
        timings[name] = round(float(np.median(seconds)) * 1e3, 2)
    return timings


def measure_loading() -> dict[str, float]:
    """Return seconds and memory of loading in a fresh process that has imported numpy (Linux)."""
    code = (
        "import numpy, resource, time; start = time.perf_counter();"
        "pages = lambda: int(open('/proc/self/statm').read().split()[1]); before = pages();"
        "from routecast.embed.static import load_static; embedder = load_static();"
        "print(time.perf_counter() - start, (pages() - before) * resource.getpagesize() / 1e6)"
    )
    command = [sys.executable, "-c", code]
    runs = [subprocess.check_output(command, text=True).split() for _ in range(7)]  # noqa: S603
    seconds, megabytes = np.median(np.array(runs, dtype=float), axis=0)
    return {"seconds": round(float(seconds), 3), "megabytes": round(float(megabytes), 1)}


def check_agreement(folder: StaticFolder, shared: Path) -> dict[str, float]:
    """Compare ids and vectors with the plain way on every text of the shared data."""
    embedder, library = StaticEmbedder(folder), Tokenizer.from_buffer(folder.tokenizer_json)
    n_texts = n_differing = 0
    difference = 0.0
    texts = [text for text in shared_texts(shared) if len(text.encode()) <= MAX_BYTES]
    for at in range(0, len(texts), 2048):
        block = texts[at : at + 2048]
        ids = [e.ids for e in library.encode_batch_fast(block, add_special_tokens=False)]
        n_texts += len(block)
        n_differing += sum(embedder.token_ids(t) != i for t, i in zip(block, ids, strict=True))
        plain = np.stack([mean_vector(folder, row) for row in ids])
        difference = max(difference, float(np.abs(embedder.embed(block) - plain).max()))
    return {
        "n_texts": n_texts,
        "n_with_other_ids": n_differing,
        "largest_difference": float(f"{difference:.2g}"),
    }


def mean_vector(folder: StaticFolder, ids: list[int]) -> AnyArray:
    """Return the unit mean in float64."""
    ids = ids if len(ids) <= 2048 else ids[:1024] + ids[-1024:]
    total = folder.vectors[ids].astype(np.float64).sum(axis=0)
    length = float(np.linalg.norm(total))
    return total / length if length else folder.nothing.astype(np.float64)


def shared_texts(folder: Path) -> Iterator[str]:
    """Yield every prompt of the Parquet files and every line of the benchmarks, each once."""
    texts: set[str] = set()
    for path in sorted((folder / "train").glob("*.parquet")):
        table = pl.read_parquet(path)
        for column in {"prompt", "query", "question"} & set(table.columns):
            texts.update(text for text in table[column] if text)
    for path in sorted((folder / "benchmarks").rglob("*.*")):
        texts.update(path.read_text(encoding="utf-8").splitlines())
    yield from sorted(texts)


def summarise(timings: Timings, *, scale: float = 1.0) -> dict[str, dict[str, float]]:
    """Return median and quartiles over the rounds."""
    summary = {}
    for name, values in timings.items():
        low, median, high = np.quantile(np.array(values) * scale, (0.25, 0.5, 0.75))
        summary[name] = {
            "median": round(float(median), 1),
            "quartile_1": round(float(low), 1),
            "quartile_3": round(float(high), 1),
        }
    return summary


def format_page(report: dict[str, dict[str, Any]], *, n_one: int, n_bulk: int) -> str:
    """Return the report as Markdown."""
    one, bulk = report["one_prompt_us"], report["bulk_prompts_per_s"]
    lines = [
        "# Speed of the static embedder",
        "",
        "    python benchmarks/embed_speed.py --data DIR --output results",
        "",
        f"On {report['machine']['text']}; numpy {report['versions']['numpy']}, tokenizers "
        f"{report['versions']['tokenizers']}. Median over rounds and quartiles. All ways use the "
        "same vectors and are timed in turn in each round. At first sight, or cold: nothing but "
        "the vocabulary is known. Processes have loaded before the clock starts.",
        "",
        f"## One prompt: the {n_one} MT-Bench prompts, median prompt ({N_ROUNDS} rounds)",
        "",
        "| way | microseconds | times `first sight` |",
        "|---|---|---|",
    ]
    for name, entry in one.items():
        ratio = entry["median"] / one["first sight"]["median"]
        lines.append(f"| {name} | {with_quartiles(entry)} | {ratio:.1f} |")
    lines += [
        "",
        f"## In bulk: the {n_bulk:,} MMLU prompts ({N_BULK_ROUNDS} rounds)",
        "",
        "| way | prompts per second | times `cold, one process` |",
        "|---|---|---|",
    ]
    for name, entry in bulk.items():
        ratio = entry["median"] / bulk["cold, one process"]["median"]
        lines.append(f"| {name} | {with_quartiles(entry)} | {ratio:.1f} |")
    lines += ["", "## A million characters, at first sight", "", "| text | ms |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in report["megabyte_ms"].items()]
    loading, agreement = report["loading"], report["agreement"]
    lines += [
        "",
        f"Loading in a fresh process that has imported numpy: {loading['seconds']} s, "
        f"{loading['megabytes']} MB more.",
        "",
        f"Agreement with the library's tokenizer and a mean in float64: of "
        f"{agreement['n_texts']:,} different texts of the shared data, "
        f"{agreement['n_with_other_ids']} have other ids; the largest difference in a vector is "
        f"{agreement['largest_difference']}.",
    ]
    return "\n".join(lines) + "\n"


def with_quartiles(entry: dict[str, float]) -> str:
    """Write a median with its quartiles."""
    return f"{entry['median']:,} [{entry['quartile_1']:,}, {entry['quartile_3']:,}]"


if __name__ == "__main__":
    main()
