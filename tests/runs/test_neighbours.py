from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from routecast.types import EmbeddingArray

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs() -> Iterator[ModuleType]:
    """The module, which is beside the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield import_module("runs.neighbours")


def unit_rows(generator: np.random.Generator, n_rows: int, dimension: int) -> EmbeddingArray:
    rows = generator.normal(size=(n_rows, dimension))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_the_nearest_two_vote(runs: ModuleType) -> None:
    # Cosines of (1, 0) with the four: 1, .6, 0, -1. The two nearest have the labels 1 and 0.
    known = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], dtype=np.float32)
    neighbours = runs.NearestNeighbours(known, np.array([1.0, 0.0, 1.0, 1.0]), n_neighbours=2)
    assert neighbours.scores(np.array([[1, 0]], dtype=np.float32)).tolist() == [0.5]


def test_it_agrees_with_sorting_all_similarities(runs: ModuleType) -> None:
    generator = np.random.default_rng(3)
    known, queries = unit_rows(generator, 300, 8), unit_rows(generator, 2500, 8)
    labels = generator.random(300)
    scores = runs.NearestNeighbours(known, labels, n_neighbours=7).scores(queries)
    order = np.argsort(-(queries @ known.T), axis=1)[:, :7]
    assert scores == pytest.approx(labels[order].mean(axis=1))


def test_all_vote_when_they_are_few(runs: ModuleType) -> None:
    generator = np.random.default_rng(4)
    neighbours = runs.NearestNeighbours(unit_rows(generator, 3, 4), np.array([0.0, 0.5, 1.0]))
    assert neighbours.scores(unit_rows(generator, 2, 4)).tolist() == [0.5, 0.5]


def test_no_labels_are_no_neighbours(runs: ModuleType) -> None:
    nothing = runs.NearestNeighbours(np.empty((0, 4), dtype=np.float32), np.empty(0))
    with pytest.raises(ValueError, match="at least one labelled prompt"):
        nothing.scores(np.ones((1, 4), dtype=np.float32))
