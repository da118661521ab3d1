from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from routecast.data.preferences import PreferenceArrays
from routecast.errors import DataError
from routecast.train.mf import fit_mf
from routecast.train.mf_input import check_comparisons
from routecast.types import EmbeddingArray


@pytest.fixture
def good() -> PreferenceArrays:
    """Three models in a ring on two prompts."""
    return PreferenceArrays(
        prompts=("first", "second"),
        models=("a", "b", "c"),
        prompt_index=np.array([0, 0, 1, 1], dtype=np.int32),
        model_a_index=np.array([0, 1, 2, 0], dtype=np.int32),
        model_b_index=np.array([1, 2, 0, 1], dtype=np.int32),
        outcome=np.array([1.0, 0.5, 0.0, 0.3], dtype=np.float32),
        weight=np.ones(4, dtype=np.float32),
    )


EMBEDDINGS: EmbeddingArray = np.eye(2, 4, dtype=np.float32)


def test_good_comparisons_pass(good: PreferenceArrays) -> None:
    check_comparisons(good, role="training")


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("prompt_index", 2, 2, "training prompt_index 2 of comparison 2 must be from 0 to 1"),
        ("prompt_index", 1, -1, "training prompt_index -1 of comparison 1"),
        ("model_a_index", 0, 3, "training model_a_index 3 of comparison 0 must be from 0 to 2"),
        ("model_b_index", 3, -2, "training model_b_index -2 of comparison 3"),
        ("model_b_index", 1, 1, "training comparison 1 compares 'b' with itself"),
        ("outcome", 2, 1.5, "training outcome 1.5 of comparison 2 must be from 0 to 1"),
        ("outcome", 2, -0.5, "training outcome -0.5 of comparison 2"),
        ("outcome", 0, np.nan, "training outcome nan of comparison 0"),
        ("weight", 3, 0.0, "training weight 0.0 of comparison 3 must be finite, above 0"),
        ("weight", 3, -1.0, "training weight -1.0 of comparison 3"),
        ("weight", 1, np.inf, "training weight inf of comparison 1"),
        ("weight", 1, np.nan, "training weight nan of comparison 1"),
    ],
)
def test_an_unusable_value_is_named_with_its_row(
    good: PreferenceArrays, column: str, row: int, value: float, message: str
) -> None:
    values = getattr(good, column).copy()
    values[row] = value
    changed: dict[str, Any] = {column: values}
    with pytest.raises(DataError, match=message):
        fit_mf(EMBEDDINGS, replace(good, **changed))


def test_unusable_validation_is_called_validation(good: PreferenceArrays) -> None:
    with pytest.raises(DataError, match=r"validation weight 0\.0 of comparison 0"):
        fit_mf(
            EMBEDDINGS,
            good.take(good.prompt_index == 0),
            validation=replace(good, weight=np.zeros(4, dtype=np.float32)),
        )
    with pytest.raises(DataError, match="0 validation comparisons of 3 models"):
        fit_mf(EMBEDDINGS, good, validation=good.take(np.zeros(4, dtype=np.bool_)))


def test_comparisons_that_are_all_ties_are_refused(good: PreferenceArrays) -> None:
    tied = replace(good, outcome=np.full(4, 0.5, dtype=np.float32))
    with pytest.raises(DataError, match="all 4 training comparisons are ties"):
        fit_mf(EMBEDDINGS, tied)


def test_a_model_without_comparisons_is_named(good: PreferenceArrays) -> None:
    with pytest.raises(DataError, match=r"1 of 4 models are in no training comparison: \['d'\]"):
        fit_mf(EMBEDDINGS, replace(good, models=("a", "b", "c", "d")))


def test_embeddings_that_do_not_match_are_refused(good: PreferenceArrays) -> None:
    with pytest.raises(DataError, match="3 embeddings given for 2 prompts"):
        fit_mf(np.eye(3, 4, dtype=np.float32), good)
    with pytest.raises(DataError, match=r"shape \(8,\) of embeddings given for 2 prompts"):
        fit_mf(EMBEDDINGS.ravel(), good)


def test_validation_of_other_models_is_refused(good: PreferenceArrays) -> None:
    renamed = replace(good, models=("a", "b", "z")).take(good.prompt_index == 1)
    with pytest.raises(DataError, match="other prompts or models"):
        fit_mf(EMBEDDINGS, good.take(good.prompt_index == 0), validation=renamed)
