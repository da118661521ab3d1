"""Parts that do not belong: found by their likeness, and never lifting a score."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.errors import ArtifactError
from routecast.routers.belonging import NEVER, NOTHING_SUSPECTED, Belonging, Guard
from routecast.types import EmbeddingArray, FloatArray


class RiceAndTrains:
    """An embedder of two tokens: the shares of rice and of trains, scaled to length 1."""

    identity = EmbedderIdentity(name="two", revision="", dimension=2, digest="")

    def token_vectors(self, text: str) -> EmbeddingArray:
        is_train = np.array([word == "train" for word in text.split()], bool)
        return np.stack([~is_train, is_train], axis=1).astype(np.float32)

    def pool(self, vectors: EmbeddingArray) -> EmbeddingArray:
        counts = vectors.sum(axis=0)
        return np.asarray(counts / max(float(np.linalg.norm(counts)), 1e-9))

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        return np.array([self.pool(self.token_vectors(text)) for text in texts]).reshape(-1, 2)


def score(texts: Sequence[str], embeddings: EmbeddingArray) -> FloatArray:
    """Score by the number of trains; rice alone is not known."""
    assert np.array_equal(embeddings, RiceAndTrains().embed(texts))
    return np.array([text.count("train") or np.nan for text in texts])


GUARD = Guard(Belonging(first=0.5, tail=0.5), RiceAndTrains())


def words(n_rice: int, n_trains: int, *, order: str = "rice first") -> str:
    rice, trains = ["rice"] * n_rice, ["train"] * n_trains
    return " ".join([*rice, *trains] if order == "rice first" else [*trains, *rice])


def test_first_words_that_are_unlike_the_next_are_left_out() -> None:
    prompt = words(20, 10, order="trains first")
    assert GUARD.parts(prompt) == [words(20, 0)]
    assert GUARD.parts(words(30, 0)) == []


def test_what_comes_late_and_is_unlike_the_first_words_is_left_out() -> None:
    # Forty words and the space after them are kept.
    assert GUARD.parts(words(60, 200)) == [words(40, 0) + " "]


def test_both_are_left_out_together() -> None:
    prompt = f"{words(0, 10)}\n{words(60, 0)}\n{words(0, 60)}"
    assert GUARD.parts(prompt) == [
        f"{words(60, 0)}\n{words(0, 60)}",
        words(40, 0) + " ",
    ]


@pytest.mark.parametrize("n_words", [0, 1, 10, 15])
def test_nothing_is_told_of_short_prompts(n_words: int) -> None:
    prompt = words(n_words - 10, 10, order="trains first") if n_words >= 10 else "rice " * n_words
    assert GUARD.parts(prompt) == []


def test_a_score_is_the_smallest_that_is_known() -> None:
    prompts = [words(20, 10, order="trains first"), words(25, 15, order="trains first"), "train"]
    # The first loses its trains and is not known without them; the second is known by 5 of its 15.
    assert GUARD.scores(prompts, score).tolist() == [10.0, 5.0, 1.0]
    one_by_one = [
        GUARD.score_one(prompt, lambda text, vector: float(score([text], vector[None])[0]))
        for prompt in prompts
    ]
    assert one_by_one == [10.0, 5.0, 1.0]


@given(prompts=st.lists(st.text(alphabet=" \nrt", max_size=300)))
def test_no_score_rises(prompts: list[str]) -> None:
    texts = [prompt.replace("r", "rice ").replace("t", "train ") for prompt in prompts]

    def count(texts: Sequence[str], embeddings: EmbeddingArray) -> FloatArray:
        return np.array([float(text.count("train")) for text in texts])

    assert (GUARD.scores(texts, count) <= count(texts, np.empty((0, 2), np.float32))).all()


def test_an_embedder_that_knows_no_tokens_suspects_nothing(word_embedder: Embedder) -> None:
    prompts = [words(20, 10, order="trains first")] * 3
    assert Belonging.of(prompts, word_embedder) == NOTHING_SUSPECTED
    guard = Guard(Belonging(1.0, 1.0), word_embedder)
    assert guard.parts(prompts[0]) == []
    assert guard.scores(prompts, lambda _, vectors: vectors.sum(axis=1)).tolist() == (
        word_embedder.embed(prompts).sum(axis=1).tolist()
    )


def test_shares_of_the_labelled_prompts_are_suspected() -> None:
    generator = np.random.default_rng(0)
    prompts = [
        " ".join(generator.choice(["rice", "train"], size=80, p=[share, 1 - share]))
        for share in generator.uniform(0.2, 0.8, size=400)
    ]
    found = Belonging.of(prompts, RiceAndTrains())
    parts = [Guard(found, RiceAndTrains()).parts(prompt) for prompt in prompts]
    n_first = sum(any(len(part.split()) == 70 for part in those) for those in parts)
    n_tail = sum(any(len(part.split()) == 40 for part in those) for those in parts)
    assert 75 <= n_first <= 80  # a fifth
    assert 35 <= n_tail <= 40  # a tenth


def test_nothing_is_suspected_where_no_labelled_prompt_is_long() -> None:
    assert Belonging.of(["rice", "train"], RiceAndTrains()) == Belonging(NEVER, NEVER)
    assert Guard(NOTHING_SUSPECTED, RiceAndTrains()).parts(words(60, 60)) == []


def test_an_artifact_stores_it_where_something_is_suspected() -> None:
    assert NOTHING_SUSPECTED.tensors() == {}
    for one in (NOTHING_SUSPECTED, GUARD.belonging):
        assert Belonging.from_tensors(one.tensors()) == one
    with pytest.raises(ArtifactError, match="needs"):
        Belonging.from_tensors({"belonging": np.zeros(3)})
