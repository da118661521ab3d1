import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from routecast.train.blend_topics import N_REPEATS, N_TOPICS, _group, find_topics
from routecast.types import EmbeddingArray, IntArray


def planted(n_prompts: int, n_topics: int) -> tuple[EmbeddingArray, IntArray]:
    """Unit vectors around well separated directions, and which each is of."""
    generator = np.random.default_rng(4)
    directions = np.linalg.qr(generator.normal(size=(16, 16)))[0][:n_topics]
    topic = np.arange(n_prompts) % n_topics
    vectors = directions[topic] + 0.05 * generator.normal(size=(n_prompts, 16))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return vectors.astype(np.float32), topic


def test_planted_topics_are_found() -> None:
    vectors, topic = planted(80, 8)
    centroids = _group(vectors, 8)  # the first eight rows are of eight topics
    assert adjusted_rand_score(topic, (vectors @ centroids.T).argmax(axis=1)) == 1.0
    assert np.linalg.norm(centroids, axis=1) == pytest.approx(np.ones(8), rel=1e-5)


def test_prompts_of_one_topic_share_more_than_those_of_two() -> None:
    vectors, topic = planted(400, 8)
    shares = find_topics(vectors).apply(vectors)
    alike, same = shares @ shares.T, topic[:, None] == topic
    assert alike[same].mean() > alike[~same].mean() + 0.3


def test_few_prompts_have_few_topics_and_the_seed_decides() -> None:
    vectors, _ = planted(40, 8)
    topics = find_topics(vectors, seed=1)
    assert topics.sizes.tolist() == [8] * N_REPEATS + [10] * (len(N_TOPICS) - 1) * N_REPEATS
    assert len(topics.centroids) == topics.sizes.sum()
    assert (find_topics(vectors, seed=1).centroids == topics.centroids).all()
    assert (find_topics(vectors, seed=2).centroids != topics.centroids).any()
    assert find_topics(vectors[:1]).apply(vectors[:2]).shape == (2, N_REPEATS * len(N_TOPICS))


def test_prompts_that_are_all_the_same_make_topics_that_are_finite() -> None:
    vectors = np.tile(np.array([[0.6, 0.8]], np.float32), (30, 1))
    shares = find_topics(vectors).apply(vectors)
    assert np.isfinite(shares).all()
    assert shares @ shares.T == pytest.approx(np.ones((30, 30)), rel=1e-5)
