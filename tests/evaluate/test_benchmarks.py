"""The published benchmarks, and figures known for them."""

from functools import cache
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest

from routecast.data.outcomes import PairOutcomes
from routecast.errors import DataError
from routecast.evaluate.benchmarks import benchmark_names, load_benchmark
from routecast.evaluate.metrics import (
    apgr_eleven_quantiles,
    oracle_scores,
    routing_metrics,
)
from routecast.types import FloatArray


class Qualities(TypedDict):
    weak_quality: FloatArray
    strong_quality: FloatArray


@cache
def pair_of(name: str, folder: Path) -> PairOutcomes:
    return load_benchmark(name, folder / "benchmarks" / "routellm").pair


def qualities(pair: PairOutcomes) -> Qualities:
    return Qualities(weak_quality=pair.weak_quality, strong_quality=pair.strong_quality)


@pytest.mark.parametrize(
    ("name", "n_prompts", "weak", "strong"),
    [("mt-bench", 72, 8.28, 9.21), ("mmlu", 14_037, 0.681, 0.806), ("gsm8k", 1_307, 0.637, 0.858)],
)
def test_counts_and_means_are_the_published_ones(
    shared_data: Path, name: str, n_prompts: int, weak: float, strong: float
) -> None:
    pair = pair_of(name, shared_data)
    assert len(pair) == n_prompts
    assert pair.weak_quality.mean() == pytest.approx(weak, abs=0.005 if weak > 1 else 0.0005)
    assert pair.strong_quality.mean() == pytest.approx(strong, abs=0.005 if weak > 1 else 0.0005)


@pytest.mark.parametrize(
    ("name", "oracle", "length"),
    [("mt-bench", 0.964, 0.548), ("mmlu", 1.285, 0.586), ("gsm8k", 1.121, 0.598)],
)
def test_exact_apgr_of_oracle_and_length_are_the_known_figures(
    shared_data: Path, name: str, oracle: float, length: float
) -> None:
    pair = pair_of(name, shared_data)
    n_chars = np.array([len(prompt) for prompt in pair.prompts], dtype=np.float64)
    best = routing_metrics(oracle_scores(**qualities(pair)), **qualities(pair))
    by_length = routing_metrics(n_chars, **qualities(pair))
    assert round(best.apgr, 3) == oracle
    assert round(by_length.apgr, 3) == length


@pytest.mark.parametrize(
    ("name", "by_row_order", "together"),
    [("mt-bench", 0.556, 0.556), ("mmlu", 0.583, 0.584), ("gsm8k", 0.598, 0.599)],
)
def test_apgr_by_quantiles_of_length_is_the_known_figure(
    shared_data: Path, name: str, by_row_order: float, together: float
) -> None:
    # The known figures broke equal lengths by row order; here they move together.
    pair = pair_of(name, shared_data)
    n_chars = np.array([len(prompt) for prompt in pair.prompts], dtype=np.float64)
    ranks = np.argsort(np.argsort(n_chars, kind="stable")).astype(np.float64)
    assert round(apgr_eleven_quantiles(ranks, **qualities(pair)), 3) == by_row_order
    assert round(apgr_eleven_quantiles(n_chars, **qualities(pair)), 3) == together


def test_names_are_those_that_users_write() -> None:
    assert benchmark_names() == ("mmlu", "gsm8k", "mt-bench")


def test_an_unknown_benchmark_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown benchmark 'mtbench'; choose one of \['mmlu'"):
        load_benchmark("mtbench", tmp_path)
    with pytest.raises(DataError, match="no folder 'mt_bench'"):
        load_benchmark("mt-bench", tmp_path)


def test_mmlu_has_57_subjects_as_groups(shared_data: Path) -> None:
    codes = pair_of("mmlu", shared_data).group_codes
    assert codes is not None
    assert len(np.unique(codes)) == 57
