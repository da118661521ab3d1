import math

import numpy as np
import pytest

from routecast.data.preferences import PreferenceArrays
from routecast.train.battles import ModelScores, mean_loss
from routecast.types import EmbeddingArray, FloatArray


def battles(outcome: list[float], model_a: list[int], model_b: list[int]) -> PreferenceArrays:
    return PreferenceArrays(
        prompts=("p", "q"),
        models=("a", "b", "new"),
        prompt_index=np.arange(len(outcome), dtype=np.int32) % 2,
        model_a_index=np.array(model_a, dtype=np.int32),
        model_b_index=np.array(model_b, dtype=np.int32),
        outcome=np.array(outcome, dtype=np.float32),
        weight=np.array([1.0, 3.0, 1.0][: len(outcome)], dtype=np.float32),
    )


def scores(embeddings: EmbeddingArray) -> FloatArray:
    """Model b scores the first component, model a twice that."""
    return np.asarray(embeddings[:, :1] * np.array([[1.0, 2.0]]), dtype=np.float64)


EMBEDDINGS = np.array([[1.0, 0.0], [3.0, 0.0]], dtype=np.float32)
SCORES = ModelScores(names=("b", "a"), of=scores)


def test_margins_are_differences_of_scores_whatever_the_order_of_names() -> None:
    # On p, a scores 2 and b 1; on q, 6 and 3. The second battle is b against a.
    margins = SCORES.margins(EMBEDDINGS, battles([1.0, 0.0], [0, 1], [1, 0]))
    assert margins.tolist() == [1.0, -3.0]


def test_a_model_without_scores_leaves_the_margin_unknown() -> None:
    margins = SCORES.margins(EMBEDDINGS, battles([1.0, 0.0, 1.0], [0, 1, 2], [1, 0, 0]))
    assert np.isnan(margins).tolist() == [False, False, True]


def test_mean_loss_by_hand() -> None:
    # A win at margin 1 costs ln(1 + 1/e) = .31326, a loss at margin -3 costs ln(1 + e^-3) = .04859
    # and counts three times: (.31326 + 3 * .04859) / 4 = .11476. The unknown one does not count.
    found = battles([1.0, 0.0, 1.0], [0, 1, 2], [1, 0, 0])
    margins = SCORES.margins(EMBEDDINGS, found)
    assert mean_loss(margins, found) == pytest.approx(0.11476, abs=1e-5)


def test_nothing_known_has_no_loss() -> None:
    assert math.isnan(mean_loss(np.array([np.nan]), battles([1.0], [2], [0])))
