"""One record in the table of families is enough to train a router and to serve it."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from routecast.artifacts import load_router, save_artifact
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.routers.families import FAMILIES, FamilyRecord
from routecast.train.pair_labels import labels_between_sides
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.registry import Family, Fit, Lesson
from routecast.train.sources import set_of_outcomes
from routecast.types import AnyArray, EmbeddingArray, FloatArray


@dataclass(frozen=True)
class Direction:
    """A toy: the line between the mean vectors of prompts that were won and lost."""

    weights: FloatArray

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        return cls(tensors["weights"])

    def tensors(self) -> dict[str, AnyArray]:
        return {"weights": self.weights}

    def bind(self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder) -> "Bound":
        assert (*strong, *weak) == ("big", "small")
        return Bound(self.weights, embedder)


@dataclass(frozen=True)
class Bound:
    weights: FloatArray
    embedder: Embedder

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        return self.win_probabilities_of(self.embedder.embed(prompts))

    def win_probabilities_of(self, embeddings: EmbeddingArray) -> FloatArray:
        return 1.0 / (1.0 + np.exp(-(embeddings @ self.weights)))


@dataclass(frozen=True, kw_only=True)
class Settings:
    scale: float = 5.0
    seed: int = 0


def fit(lesson: Lesson, settings: Settings) -> Fit:
    labels = labels_between_sides(lesson, lesson.training)
    vectors = lesson.embeddings[labels.rows].astype(np.float64)
    won = labels.wins > 0.5
    weights = settings.scale * (vectors[won].mean(axis=0) - vectors[~won].mean(axis=0))
    return Fit(model=Direction(weights), validation_loss=float("nan"))


FAMILY = Family(name="toy", settings=Settings, fit=fit)


def test_one_record_trains_and_serves_a_new_family(
    monkeypatch: pytest.MonkeyPatch, planted_outcomes: Callable[..., Outcomes], tmp_path: Path
) -> None:
    record = FamilyRecord(
        serving=f"{__name__}:Direction", training=f"{__name__}:FAMILY", reads_vectors=True
    )
    monkeypatch.setitem(FAMILIES, "toy", record)
    settings = TrainSettings(
        router="toy", strong=("big",), weak=("small",), options={"scale": (5.0, 50.0)}
    )
    labels = set_of_outcomes(planted_outcomes(120), models=["big", "small"])
    trained = train_router([labels], settings, embedder=load_embedder("static"))
    save_artifact(trained.artifact, tmp_path / "router")

    loaded = load_router(str(tmp_path / "router"))
    hard, easy = loaded.router.win_probabilities(
        ["prove number 2 of rice in 3 words", "name number 2 of rice in 3 words"]
    )
    assert hard > easy


def test_what_serves_imports_nothing_that_trains() -> None:
    program = (
        "import sys\n"
        "from routecast.routers.families import FAMILIES\n"
        "for record in FAMILIES.values():\n"
        "    assert callable(record.load_serving())\n"
        "print(*sorted(name for name in sys.modules if name.startswith('routecast.train')))\n"
        "print('torch' in sys.modules or 'transformers' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.splitlines() == ["", "False"]
