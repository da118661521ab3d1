"""The study of `blend`, part by part."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from routecast.embed.protocol import Embedder
from routecast.routers.surface import surface_features
from routecast.train.blend import Labels, fit_blend

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "results" / "small_blend.md"


@pytest.fixture(scope="module")
def study() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield import_module("runs.study_small_blend")


def test_what_is_studied_as_blend_is_blend(study: ModuleType, word_embedder: Embedder) -> None:
    generator = np.random.default_rng(0)
    prompts = [f"{'prove' if row % 3 else 'name'} {row} {'x ' * (row % 7)}" for row in range(90)]
    weak = generator.random(90)
    sample = study.Sample(
        prompts,
        weak,
        np.ones(90),
        np.arange(90),
        word_embedder.embed(prompts),
        surface_features(prompts),
    )
    labelled, rest = np.arange(60), np.arange(60, 90)
    found = study.score_all(sample, labelled, rest)
    labels = Labels(gaps=1.0 - weak[:60], weights=np.ones(60), groups=labelled)
    model = fit_blend(sample.embeddings[:60], sample.surfaces[:60], labels).model
    x = model.view.apply(sample.embeddings[60:], sample.surfaces[60:])
    assert found[study.BLEND] == pytest.approx(model.predict(x)[0], abs=1e-5)
    assert set(found) == {*study.SHOWN} - {study.FORMER}
    assert found[study.LENGTH].tolist() == [len(prompt) for prompt in prompts[60:]]


def test_parts_are_chosen_without_the_set_that_is_left_out(study: ModuleType) -> None:
    low = dict.fromkeys(study.LEARNERS, 0.5)
    table = {"a": {**low, study.PLAIN: 0.9}, "b": {**low, study.BLEND: 0.6}, "c": low}
    chosen = {name: study.best_without(name, {100: table}) for name in table}
    assert chosen == {"a": study.BLEND, "b": study.PLAIN, "c": study.PLAIN}


def test_sets_count_alike_whatever_their_pairs(study: ModuleType) -> None:
    # a: two pairs of .5 and .7, so .6; b: one of .8.
    rows = {"a, x / y|100": 0.5, "a, x / z|100": 0.7, "b, x / y|100": 0.8, "b, x / y|300": 0.1}
    found = {key: {study.BLEND: [value - 0.1, value + 0.1]} for key, value in rows.items()}
    means = study.set_means(found, 100)
    assert {name: row[study.BLEND] for name, row in means.items()} == pytest.approx(
        {"a": 0.6, "b": 0.8}
    )


def test_the_committed_page_is_that_of_the_committed_figures(study: ModuleType) -> None:
    found = json.loads(PAGE.with_suffix(".json").read_text())
    assert PAGE.read_text() == "\n".join(study.page_lines(found))
