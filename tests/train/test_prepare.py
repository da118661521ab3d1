from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.errors import DataError
from routecast.train.prepare import Prepared, embed_prompts, prepare
from routecast.train.sides import rate_tiers
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes
from routecast.types import EmbeddingArray


def prepared_of(sets: Sequence[LabelledSet], embedder: Embedder, **others: object) -> Prepared:
    arguments: dict[str, object] = {
        "strong": ("big",), "weak": ("small",), "fractions": (0.8, 0.1, 0.1), "seed": 3,
    } | others  # fmt: skip
    return prepare(sets, embedder=embedder, **arguments)  # type: ignore[arg-type]


def test_training_validation_and_test_share_no_prompt(
    planted_comparisons: Callable[..., Comparisons], word_embedder: Embedder
) -> None:
    prepared = prepared_of([set_of_comparisons(planted_comparisons())], word_embedder)
    split = prepared.split
    sides = [set(rows.tolist()) for rows in (split.train, split.validation, split.test)]
    assert [len(side) for side in sides] == [320, 40, 40]
    assert len(set.union(*sides)) == 400
    training, validation = prepared.lesson_parts()
    assert set(training.prompt_index.tolist()) == sides[0]
    assert set(validation.prompt_index.tolist()) == sides[1]
    assert len(prepared.labels_on(split.test)) == 40


def test_near_duplicates_and_conversations_stay_on_one_side(word_embedder: Embedder) -> None:
    rows = [
        {
            "prompt": f"{start} a rather long question with the number {number} in it, please?",
            "model_a": "big",
            "model_b": "small",
            "outcome": float(number % 2),
            "group": f"session {number // 2}",
        }
        for number in range(100)
        for start in ("Tell me", "tell me")
    ]
    one = set_of_comparisons(Comparisons(table=pl.DataFrame(rows)))
    split = prepared_of([one], word_embedder).split
    prompts = one.preferences.prompts
    for side in (split.train, split.validation, split.test):
        numbers = {int(prompts[row].split(" number ")[1].split()[0]) for row in side.tolist()}
        assert {number ^ 1 for number in numbers} == numbers  # both of each session
        assert len(side) == 2 * len(numbers)  # both spellings of each prompt


def test_too_few_labels_say_how_many_are_needed(
    planted_comparisons: Callable[..., Comparisons], word_embedder: Embedder
) -> None:
    few = set_of_comparisons(planted_comparisons(99))
    with pytest.raises(DataError, match=r"99 different prompts have labels .* 100 are needed"):
        prepared_of([few], word_embedder)


def test_sides_that_never_met_are_refused(word_embedder: Embedder) -> None:
    rows = [
        {"prompt": f"prompt {i} {a}", "model_a": a, "model_b": "middle", "outcome": 1.0}
        for i in range(100)
        for a in ("big", "small")
    ]
    one = set_of_comparisons(Comparisons(table=pl.DataFrame(rows)))
    with pytest.raises(DataError, match="never met on any prompt"):
        prepared_of([one], word_embedder)


def test_a_model_without_training_comparisons_is_left_out_of_the_lesson(
    planted_outcomes: Callable[..., Outcomes], word_embedder: Embedder
) -> None:
    outcomes = planted_outcomes()
    prepared = prepared_of([set_of_outcomes(outcomes)], word_embedder)
    elsewhere = prepared.prompts[int(prepared.split.validation[0])]
    rare = pl.when(pl.col("prompt") == elsewhere).then(1.0).alias("quality|rare")
    one = set_of_outcomes(replace(outcomes, table=outcomes.table.with_columns(rare)))
    again = prepared_of([one], word_embedder)
    training, validation = again.lesson_parts()
    assert "rare" in again.preferences.models
    assert training.models == validation.models == ("big", "middle", "small")
    assert len(validation) == 40 * 3
    with pytest.raises(DataError, match=r"\['rare'\] never met|rare"):
        prepared_of([one], word_embedder, strong=("rare",))


def test_tiers_are_those_of_the_training_comparisons(word_embedder: Embedder) -> None:
    generator = np.random.default_rng(7)
    rows = []
    for number in range(300):
        for _ in range(8):
            a, b = generator.choice(12, size=2, replace=False).tolist()
            won = generator.random() < 1 / (1 + np.exp((a - b) / 2))
            rows.append((f"prompt number {number}", f"m{a:02}", f"m{b:02}", float(won)))
    columns = ("prompt", "model_a", "model_b", "outcome")
    one = set_of_comparisons(
        Comparisons(table=pl.DataFrame(rows, schema=columns, orient="row"), source="ladder")
    )
    prepared = prepared_of([one], word_embedder, strong=(), weak=())
    training, _ = prepared.lesson_parts()
    tiers = rate_tiers(training).tier_by_model
    assert prepared.sides.tiers == tiers
    assert prepared.sides.strong == tuple(name for name in tiers if tiers[name] < 2)
    assert prepared.sides.weak == tuple(name for name in tiers if tiers[name] == 2)


class Broken:
    """An embedder whose third vector is not finite, or whose vectors have another length."""

    def __init__(self, *, dimension: int = 4) -> None:
        self.identity = EmbedderIdentity(name="broken", revision="", dimension=4, digest="0")
        self._dimension = dimension

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        vectors = np.ones((len(texts), self._dimension), dtype=np.float32)
        vectors[2:3] = np.nan
        return vectors


def test_vectors_that_are_not_finite_are_refused_by_number() -> None:
    with pytest.raises(DataError, match="not finite for prompt 2"):
        embed_prompts(["a", "b", "c"], Broken())


def test_vectors_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match=r"shape \(2, 3\) for 2 prompts; accepted is \(2, 4\)"):
        embed_prompts(["a", "b"], Broken(dimension=3))
