import math

import numpy as np
import pytest

from routecast.routers.blend_topics import Topics, about


def test_shares_of_topics_worked_by_hand() -> None:
    # Two groupings, of two topics and of one, about a mean of 0. A prompt on the first topic and
    # at right angles to the second: shares exp(12) and 1, then 1 alone, each part of length
    # 1 / sqrt(2).
    centroids = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    topics = Topics(np.zeros(2, np.float32), centroids, np.array([2, 1]))
    length = math.sqrt(2 * (math.exp(24) + 1))
    expected = [math.exp(12) / length, 1 / length, 1 / math.sqrt(2)]
    assert topics.apply(np.array([[1, 0]], np.float32))[0] == pytest.approx(expected, rel=1e-5)


def test_shares_have_length_one_even_at_the_mean() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(9, 4)).astype(np.float32)
    topics = Topics(vectors[0], about(vectors[1:7], vectors[0]), np.array([1, 2, 3]))
    shares = topics.apply(vectors)
    assert (shares**2).sum(axis=1) == pytest.approx(np.ones(9), rel=1e-5)
    assert shares[0] == pytest.approx(np.repeat([1, 1 / 2**0.5, 1 / 3**0.5], [1, 2, 3]) / 3**0.5)


def test_directions_are_seen_from_the_mean() -> None:
    seen = about(np.array([[3, 4], [0, 1]], np.float32), np.array([0, 1], np.float32))
    assert seen == pytest.approx(np.array([[0.5**0.5, 0.5**0.5], [0, 0]]))
