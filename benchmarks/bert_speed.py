"""How fast `bert` scores: torch against the int8 copy, one by one on one core, and in bulk.

    python benchmarks/bert_speed.py --data DIR --base FOLDER [--output results/bert_speed.md]

The base's own weights with a fresh head: the values do not matter for the speed. Prompts are drawn
from the MMLU benchmark. One thread, and processor time instead of the clock's, so that other work on
the machine counts little; the rivals take turns prompt by prompt, so that it counts for both.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from routecast.evaluate.benchmarks import load_benchmark
from routecast.routers.bert import (
    INT8_NAME,
    BertRouter,
    load_classifier,
    model_log_odds,
    pad_rows,
)
from routecast.routers.bert_onnx import onnx_log_odds
from routecast.routers.token_windows import TokenWindows, open_token_windows
from routecast.stats.bootstrap import percentile_interval
from routecast.train.bert_int8 import write_int8
from routecast.train.bert_tuning import save_classifier
from routecast.types import FloatArray

SEED = 20261121
LENGTHS = (128, 512)
N_ALONE = 200
N_BULK = 200
N_RESAMPLES = 2000


def main() -> None:
    """Measure and write the page."""
    arguments = _arguments()
    prompts = _draw(arguments.data, max(N_ALONE, N_BULK))
    with TemporaryDirectory() as workspace:
        folder = Path(workspace)
        save_classifier(
            load_classifier(arguments.base), folder, tokenizer=arguments.base / "tokenizer.json"
        )
        write_int8(load_classifier(folder).eval(), folder / INT8_NAME)
        page = _page(folder, prompts)
    arguments.output.write_text(page, encoding="utf-8")
    print(page)


def _page(folder: Path, prompts: Sequence[str]) -> str:
    lines = [
        "# Speed of `bert`",
        "",
        "    python benchmarks/bert_speed.py --data DIR --base FOLDER",
        "",
        "all-MiniLM-L6-v2 (6 layers, 384 dimensions, 23 million weights) with a head of one "
        "output; prompts drawn from MMLU, tokenising included. One thread; processor time, which on "
        "a free core is the clock's. torch and the int8 copy took turns prompt by prompt, because "
        "the machine was busy: trust the ratios more than the milliseconds. 95% intervals by "
        "bootstrap over prompts.",
        "",
        f"## One by one (N = {N_ALONE} prompts)",
        "",
        "| tokens read at most | torch, median ms | int8, median ms | torch / int8, of the sums |",
        "|---|---|---|---|",
        *(_alone(folder, prompts[:N_ALONE], length) for length in LENGTHS),
        "",
        f"## In bulk (N = {N_BULK} prompts, at most 512 tokens)",
        "",
        "| batches | torch, prompts/s | int8, prompts/s |",
        "|---|---|---|",
        *_bulk(folder, prompts[:N_BULK]),
        "",
    ]
    return "\n".join(lines)


def _routers(folder: Path, length: int) -> tuple[BertRouter, BertRouter]:
    """Return the same network by torch and by int8, one thread each."""
    import torch

    torch.set_num_threads(1)
    windows = open_token_windows(folder, max_tokens=length)
    exact = model_log_odds(load_classifier(folder).eval(), device="cpu")
    quick = onnx_log_odds(folder / INT8_NAME, n_threads=1)
    return BertRouter(windows, exact, 0), BertRouter(windows, quick, 0)


def _alone(folder: Path, prompts: Sequence[str], length: int) -> str:
    routers = _routers(folder, length)
    for router in routers:
        router.win_probabilities(prompts[:20])  # warm
    times = np.array(
        [
            [_timed(lambda r=router, p=prompt: r.win_probabilities([p])) for router in routers]
            for prompt in prompts
        ]
    )  # (n_prompts, 2)
    generator = np.random.default_rng(SEED)
    draws = generator.integers(len(prompts), size=(N_RESAMPLES, len(prompts)))
    ratios = times[draws, 0].sum(axis=1) / times[draws, 1].sum(axis=1)
    interval = percentile_interval(ratios)
    torch_ms, int8_ms = 1000 * np.median(times, axis=0)
    ratio = times[:, 0].sum() / times[:, 1].sum()
    return (
        f"| {length} | {torch_ms:.1f} | {int8_ms:.1f} | "
        f"{ratio:.2f} [{interval.low:.2f}, {interval.high:.2f}] |"
    )


def _bulk(folder: Path, prompts: Sequence[str]) -> list[str]:
    """Compare our batches with batches of 32 in the given order, and with one by one."""
    routers = _routers(folder, 512)
    ways: dict[str, Callable[[BertRouter], FloatArray]] = {
        "one by one": lambda r: np.concatenate([r.win_probabilities([p]) for p in prompts]),
        "32 in the given order, padded": lambda r: _in_order(r, r.windows, prompts),
        "by length, as `score` does": lambda r: r.win_probabilities(prompts),
    }
    rows = []
    for name, way in ways.items():
        rates = [len(prompts) / _timed(lambda w=way, r=router: w(r)) for router in routers]
        rows.append(f"| {name} | {rates[0]:.0f} | {rates[1]:.0f} |")
    return rows


def _in_order(router: BertRouter, windows: TokenWindows, prompts: Sequence[str]) -> FloatArray:
    ids = windows.windows(prompts)
    parts = [
        router.log_odds(*pad_rows(ids[start : start + 32], router.pad_id))
        for start in range(0, len(ids), 32)
    ]
    return np.concatenate(parts)


def _timed(work: Callable[[], object]) -> float:
    """Return the processor time of some work, seconds; with one thread, its time on a free core."""
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


def _draw(folder: Path, n_prompts: int) -> list[str]:
    prompts = load_benchmark("mmlu", folder / "benchmarks" / "routellm").pair.prompts
    drawn = np.random.default_rng(SEED).choice(len(prompts), n_prompts, replace=False)
    return [prompts[row] for row in drawn.tolist()]


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--base", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--output", type=Path, default=home / "results" / "bert_speed.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
