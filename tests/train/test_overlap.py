import polars as pl
import pytest

from routecast.data.comparisons import Comparisons
from routecast.embed.registry import load_embedder
from routecast.errors import DataError
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.sources import LabelledSet, set_of_comparisons

QUESTION = "Which of these planets of the solar system has the largest number of known moons?"


@pytest.fixture
def sets() -> list[LabelledSet]:
    """Two training sets; the first holds the question inside a longer prompt."""
    found = []
    for prompts in ([f"Please answer: {QUESTION}", "How is rice cooked?"], ["Name three rivers."]):
        table = pl.DataFrame(
            {
                "prompt": prompts,
                "model_a": ["a"] * len(prompts),
                "model_b": ["b"] * len(prompts),
                "outcome": [1.0] * len(prompts),
            }
        )
        found.append(set_of_comparisons(Comparisons(table=table)))
    return found


def test_overlap_is_refused_with_counts_and_both_ways_out(sets: list[LabelledSet]) -> None:
    message = r"1 of 3 training prompts.*1 of 2 evaluation.*--drop-overlap.*--allow-overlap"
    with pytest.raises(DataError, match=message):
        settle_overlap(sets, [QUESTION, "Unrelated words"], load_embedder("static"))


def test_overlap_is_dropped_on_request(sets: list[LabelledSet]) -> None:
    kept, report = settle_overlap(
        sets, [QUESTION], load_embedder("static"), on_overlap=OnOverlap.DROP
    )
    assert [one.preferences.prompts for one in kept] == [
        ("How is rice cooked?",),
        ("Name three rivers.",),
    ]
    assert (report.n_prompts, report.n_overlapping, report.n_excluded_hit) == (3, 1, 1)


def test_a_set_that_is_all_overlap_is_gone_and_all_sets_are_refused(
    sets: list[LabelledSet],
) -> None:
    embedder = load_embedder("static")
    kept, _ = settle_overlap(sets, ["Name three rivers."], embedder, on_overlap=OnOverlap.DROP)
    assert len(kept) == 1
    with pytest.raises(DataError, match="nothing is left to learn from"):
        settle_overlap(sets[1:], ["Name three rivers."], embedder, on_overlap=OnOverlap.DROP)


def test_overlap_is_learned_from_when_allowed_and_still_counted(sets: list[LabelledSet]) -> None:
    kept, report = settle_overlap(
        sets, [QUESTION], load_embedder("static"), on_overlap=OnOverlap.ALLOW
    )
    assert kept == sets
    assert report.n_overlapping == 1


def test_for_weights_that_ship_even_a_short_question_inside_a_prompt_counts(
    sets: list[LabelledSet],
) -> None:
    embedder = load_embedder("static")
    _, usual = settle_overlap(sets, ["Rice?"], embedder, on_overlap=OnOverlap.ALLOW)
    _, strict = settle_overlap(sets, ["Rice?"], embedder, on_overlap=OnOverlap.ALLOW, min_chars=1)
    assert (usual.n_overlapping, strict.n_overlapping) == (0, 1)


def test_without_overlap_nothing_changes(sets: list[LabelledSet]) -> None:
    kept, report = settle_overlap(sets, ["Something else entirely"], load_embedder("static"))
    assert kept == sets
    assert report.n_overlapping == 0
