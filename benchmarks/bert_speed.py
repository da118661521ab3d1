"""How fast `bert` scores: torch against the int8 copy, one by one on one core, and in bulk.

    python benchmarks/bert_speed.py --data DIR --base FOLDER [--output results/bert_speed.md]

The base's own weights with a fresh head: the values do not matter for the speed. Prompts are drawn
from the MMLU benchmark. One thread, and processor time instead of the clock's, so that other work
on the machine counts little; the rivals take turns prompt by prompt, so that it counts for both.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
from routecast.routers.token_windows import open_token_windows
from routecast.stats.bootstrap import percentile_interval
from routecast.train.bert_int8 import write_int8
from routecast.train.bert_tuning import save_classifier
from routecast.types import FloatArray

SEED = 20261121
N_ALONE = 200
N_LARGE = 40
N_RESAMPLES = 2000
INTRODUCTION = (
    "# Speed of `bert`",
    "",
    "    python benchmarks/bert_speed.py --data DIR --base FOLDER",
    "",
    "An encoder with a head of one output, by torch and by its int8 copy; prompts drawn from MMLU, "
    "tokenising included. MiniLM is all-MiniLM-L6-v2: 6 layers, 384 dimensions. BERT-base is the "
    "paper's size, 12 layers and 768 dimensions, with random weights. One thread; processor time, "
    "which on a free core is the clock's. torch and int8 took turns prompt by prompt, because the "
    "machine was busy with other work: trust the ratios more "
    "than the milliseconds. 95% intervals by bootstrap over prompts.",
    "",
    "## One by one",
    "",
    "| encoder | tokens at most | N | torch, median ms | int8, median ms | torch / int8 (sums) |",
    "|---|---|---|---|---|---|",
)
BULK = (
    "",
    f"## In bulk (MiniLM, {N_ALONE} prompts, at most 512 tokens)",
    "",
    "| batches | torch, prompts/s | int8, prompts/s |",
    "|---|---|---|",
)


def main() -> None:
    """Measure and write the page."""
    arguments = _arguments()
    prompts = _draw(arguments.data, N_ALONE)
    with TemporaryDirectory() as workspace:
        small, large = Path(workspace) / "small", Path(workspace) / "large"
        tokenizer = arguments.base / "tokenizer.json"
        _save(load_classifier(arguments.base), small, tokenizer)
        _save(_bert_of_the_papers_size(), large, tokenizer)
        rows = [
            _alone("MiniLM", small, prompts, length=128),
            _alone("MiniLM", small, prompts, length=512),
            _alone("BERT-base", large, prompts[:N_LARGE], length=512),
        ]
        page = "\n".join([*INTRODUCTION, *rows, *BULK, *_bulk(small, prompts), ""])
    arguments.output.write_text(page, encoding="utf-8")
    print(page)


def _save(model: Any, folder: Path, tokenizer: Path) -> None:  # noqa: ANN401 (torch's)
    folder.mkdir()
    save_classifier(model, folder, tokenizer=tokenizer)
    write_int8(load_classifier(folder).eval(), folder / INT8_NAME)


def _bert_of_the_papers_size() -> Any:  # noqa: ANN401 (torch's)
    """Return BERT-base with random weights; a network takes as long whatever their values."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(SEED)
    config = BertConfig()
    config.num_labels = 1
    return BertForSequenceClassification(config)


def _routers(folder: Path, length: int) -> tuple[BertRouter, BertRouter]:
    """Return the same network by torch and by int8, one thread each."""
    import torch

    torch.set_num_threads(1)
    windows = open_token_windows(folder, max_tokens=length)
    exact = model_log_odds(load_classifier(folder).eval(), device="cpu")
    quick = onnx_log_odds(folder / INT8_NAME, n_threads=1)
    return BertRouter(windows, exact, 0), BertRouter(windows, quick, 0)


def _alone(name: str, folder: Path, prompts: Sequence[str], *, length: int) -> str:
    routers = _routers(folder, length)
    for router in routers:
        router.win_probabilities(prompts[:5])  # warm
    times = np.array(
        [
            [_timed(partial(router.win_probabilities, [prompt])) for router in routers]
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
        f"| {name} | {length} | {len(prompts)} | {torch_ms:.1f} | {int8_ms:.1f} | "
        f"{ratio:.2f} [{interval.low:.2f}, {interval.high:.2f}] |"
    )


def _bulk(folder: Path, prompts: Sequence[str]) -> list[str]:
    """Compare our batches with batches of 32 in the given order, and with one by one."""
    routers = _routers(folder, 512)
    ways: dict[str, Callable[[BertRouter, Sequence[str]], FloatArray]] = {
        "one by one": _one_by_one,
        "32 in the given order": _in_order,
        "by length, as `score` does": BertRouter.win_probabilities,
    }
    rows = []
    for name, way in ways.items():
        rates = [len(prompts) / _timed(partial(way, router, prompts)) for router in routers]
        rows.append(f"| {name} | {rates[0]:.0f} | {rates[1]:.0f} |")
    return rows


def _one_by_one(router: BertRouter, prompts: Sequence[str]) -> FloatArray:
    return np.concatenate([router.win_probabilities([prompt]) for prompt in prompts])


def _in_order(router: BertRouter, prompts: Sequence[str]) -> FloatArray:
    ids = router.windows.windows(prompts)
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
