"""Parts that do not belong: found by their likeness, and never lifting a score."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.errors import ArtifactError
from routecast.routers.belonging import NEVER, NOTHING_SUSPECTED, Belonging
from routecast.types import EmbeddingArray, FloatArray

ALIKE, UNLIKE = "rice " * 60, "train " * 60


def embed_one(text: str) -> EmbeddingArray:
    """Return the shares of rice and trains, scaled to length 1."""
    counts = np.array([text.count("rice"), text.count("train")], np.float32)
    return counts / max(float(np.linalg.norm(counts)), 1e-9)


def score(texts: Sequence[str]) -> FloatArray:
    """Score by the number of trains; rice alone is not known."""
    return np.array([text.count("train") or np.nan for text in texts])


BELONGING = Belonging(first=0.5, tail=0.5)


def words(n_rice: int, n_trains: int, *, order: str = "rice first") -> str:
    rice, trains = ["rice"] * n_rice, ["train"] * n_trains
    return " ".join([*rice, *trains] if order == "rice first" else [*trains, *rice])


def test_first_words_that_are_unlike_the_next_are_left_out() -> None:
    prompt = words(20, 10, order="trains first")
    assert BELONGING.belonging_parts(prompt, embed_one) == [words(20, 0)]
    assert BELONGING.belonging_parts(words(30, 0), embed_one) == []


def test_what_comes_late_and_is_unlike_the_first_words_is_left_out() -> None:
    # Forty words and the space after them are kept; two of the trains are among them.
    prompt = words(38, 200)
    assert BELONGING.belonging_parts(prompt, embed_one) == [words(38, 2) + " "]


def test_both_are_left_out_together() -> None:
    prompt = f"{words(0, 10)}\n{words(60, 0)}\n{words(0, 60)}"
    assert BELONGING.belonging_parts(prompt, embed_one) == [
        f"{words(60, 0)}\n{words(0, 60)}",
        words(40, 0) + " ",
    ]


@pytest.mark.parametrize("n_words", [0, 1, 10, 15])
def test_nothing_is_told_of_short_prompts(n_words: int) -> None:
    prompt = words(n_words - 10, 10, order="trains first") if n_words >= 10 else "rice " * n_words
    assert BELONGING.belonging_parts(prompt, embed_one) == []


def test_a_score_is_the_smallest_that_is_known() -> None:
    prompts = [words(20, 10, order="trains first"), words(25, 15, order="trains first"), "train"]
    # The first loses its trains and is not known without them; the second is known by 5 of its 15.
    found = BELONGING.guarded(prompts, score=score, embed_one=embed_one)
    assert found.tolist() == [10.0, 5.0, 1.0]
    for prompt, expected in zip(prompts, found, strict=True):
        one = BELONGING.guarded_one(
            prompt, score_one=lambda text: float(score([text])[0]), embed_one=embed_one
        )
        assert one == expected


@given(prompts=st.lists(st.text(alphabet=" \nrt", max_size=300)))
def test_no_score_rises(prompts: list[str]) -> None:
    def count(texts: Sequence[str]) -> FloatArray:
        return np.array([float(text.count("t")) for text in texts])

    def embed(text: str) -> EmbeddingArray:
        return embed_one(text.replace("r", "rice").replace("t", "train"))

    found = BELONGING.guarded(prompts, score=count, embed_one=embed)
    assert (found <= count(prompts)).all()


def test_shares_of_the_labelled_prompts_are_suspected() -> None:
    generator = np.random.default_rng(0)
    prompts = [
        " ".join(generator.choice(["rice", "train"], size=80, p=[share, 1 - share]))
        for share in generator.uniform(0.2, 0.8, size=400)
    ]
    found = Belonging.of(prompts, embed_one)
    parts = [found.belonging_parts(prompt, embed_one) for prompt in prompts]
    n_first = sum(any(len(part.split()) == 70 for part in those) for those in parts)
    n_tail = sum(any(len(part.split()) == 40 for part in those) for those in parts)
    assert 75 <= n_first <= 80  # a fifth
    assert 35 <= n_tail <= 40  # a tenth


def test_nothing_is_suspected_where_no_labelled_prompt_is_long() -> None:
    assert Belonging.of(["rice", "train"], embed_one) == Belonging(NEVER, NEVER)
    assert NOTHING_SUSPECTED.belonging_parts(ALIKE + UNLIKE, embed_one) == []


def test_an_artifact_stores_it_where_something_is_suspected() -> None:
    assert NOTHING_SUSPECTED.tensors() == {}
    for one in (NOTHING_SUSPECTED, BELONGING):
        assert Belonging.from_tensors(one.tensors()) == one
    with pytest.raises(ArtifactError, match="needs"):
        Belonging.from_tensors({"belonging": np.zeros(3)})
