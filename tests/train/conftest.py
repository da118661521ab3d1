"""Labelled prompts whose answer is planted: one word decides which model is better."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes

TOPICS = ("rice", "music", "planets", "rivers", "gardens", "trains", "poems", "maps")


def planted_rows(n_prompts: int, *, seed: int = 0) -> list[dict[str, object]]:
    """Prompts with "prove" are won by the strong model most of the time, others mostly tie."""
    generator = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for number in range(n_prompts):
        is_hard = bool(generator.random() < 0.5)
        topic = TOPICS[number % len(TOPICS)]
        verb = "prove" if is_hard else "name"
        right = {
            "big": generator.random() < 0.9,
            "middle": generator.random() < (0.5 if is_hard else 0.9),
            "small": generator.random() < (0.2 if is_hard else 0.85),
        }
        rows.append(
            {
                "prompt": f"{verb} number {number} of {topic} in {number % 7} words",
                **{f"quality|{name}": float(ok) for name, ok in right.items()},
            }
        )
    return rows


@pytest.fixture
def planted_outcomes() -> Callable[..., Outcomes]:
    """Make outcomes of three models on as many prompts as asked for."""

    def make(n_prompts: int = 400, *, seed: int = 0) -> Outcomes:
        return Outcomes(table=pl.DataFrame(planted_rows(n_prompts, seed=seed)), source="planted")

    return make


@pytest.fixture
def planted_comparisons() -> Callable[..., Comparisons]:
    """Make battles of big against small, one a prompt, and of middle against either."""

    def make(n_prompts: int = 400, *, seed: int = 0) -> Comparisons:
        rows = []
        for row in planted_rows(n_prompts, seed=seed):
            for model_a, model_b in (("big", "small"), ("middle", "big"), ("small", "middle")):
                gap = float(str(row[f"quality|{model_a}"])) - float(str(row[f"quality|{model_b}"]))
                rows.append(
                    {
                        "prompt": row["prompt"],
                        "model_a": model_a,
                        "model_b": model_b,
                        "outcome": (1.0 + gap) / 2.0,
                    }
                )
        return Comparisons(table=pl.DataFrame(rows), source="battles")

    return make


@pytest.fixture
def outcomes_file(tmp_path: Path) -> Path:
    path = tmp_path / "outcomes.jsonl"
    pl.DataFrame(planted_rows(400)).write_ndjson(path)
    return path
