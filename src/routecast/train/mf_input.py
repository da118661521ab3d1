"""What matrix factorisation cannot learn from is refused here, before the first step."""

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.errors import DataError
from routecast.types import AnyArray, EmbeddingArray

_N_NAMED = 5


def check_embeddings(embeddings: EmbeddingArray, *, n_prompts: int) -> None:
    """Refuse embeddings that do not match the prompts.

    Raises:
        DataError: If there is not one finite row per prompt.
    """
    if embeddings.ndim != 2 or len(embeddings) != n_prompts:
        given = len(embeddings) if embeddings.ndim == 2 else f"shape {embeddings.shape!r} of"
        raise DataError(
            f"{given} embeddings given for {n_prompts} prompts; embed every prompt once, in order"
        )
    if not np.isfinite(embeddings).all():
        row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise DataError(f"the embedding of prompt {row} is not finite; embed that prompt again")


def check_comparisons(comparisons: PreferenceArrays, *, role: str) -> None:
    """Refuse comparisons whose values no loss is defined for.

    Args:
        comparisons: To check.
        role: What messages call them: ``training``.

    Raises:
        DataError: If there are none, an index points nowhere, a model meets itself, an outcome is
            outside [0, 1], or a weight is not above 0; the message names the first bad row,
            counted from 0.
    """
    if len(comparisons) == 0 or len(comparisons.models) < 2:
        raise DataError(
            f"{len(comparisons)} {role} comparisons of {len(comparisons.models)} models teach "
            "nothing; give comparisons of at least two models"
        )
    n_prompts, n_models = len(comparisons.prompts), len(comparisons.models)
    _check_positions(comparisons.prompt_index, n_prompts, f"{role} prompt_index", "prompts")
    _check_positions(comparisons.model_a_index, n_models, f"{role} model_a_index", "models")
    _check_positions(comparisons.model_b_index, n_models, f"{role} model_b_index", "models")
    same = comparisons.model_a_index == comparisons.model_b_index
    if same.any():
        row = int(same.argmax())
        name = comparisons.models[int(comparisons.model_a_index[row])]
        raise DataError(
            f"{role} comparison {row} compares {name!r} with itself; leave such rows out"
        )
    outcome, weight = comparisons.outcome, comparisons.weight
    _refuse(~((outcome >= 0) & (outcome <= 1)), outcome, f"{role} outcome", "from 0 to 1")
    _refuse(~((weight > 0) & np.isfinite(weight)), weight, f"{role} weight", "finite, above 0")


def check_teaches(training: PreferenceArrays) -> None:
    """Refuse comparisons that leave a model, or all of them, without any information.

    Raises:
        DataError: If every comparison is a tie, or a model is in none.
    """
    if np.all(training.outcome == 0.5):
        raise DataError(
            f"all {len(training)} training comparisons are ties, which tell no model from another; "
            "give comparisons that one of the two won"
        )
    met = np.union1d(training.model_a_index, training.model_b_index)
    unmet = [training.models[row] for row in np.setdiff1d(np.arange(len(training.models)), met)]
    if unmet:
        shown = f"{unmet[:_N_NAMED]!r}{' and others' if len(unmet) > _N_NAMED else ''}"
        n_models = len(training.models)
        raise DataError(
            f"{len(unmet)} of {n_models} models are in no training comparison: {shown}; leave "
            "them out of the list of models, or give comparisons of them"
        )


def check_apart(training: PreferenceArrays, validation: PreferenceArrays) -> None:
    """Refuse validation that is not of the same models on other prompts.

    Raises:
        DataError: If the two list other prompts or models, or share a prompt.
    """
    if (validation.prompts, validation.models) != (training.prompts, training.models):
        raise DataError(
            "training and validation list other prompts or models; take both from one set of "
            "preferences"
        )
    n_shared = len(np.intersect1d(training.prompt_index, validation.prompt_index))
    if n_shared:
        raise DataError(f"{n_shared} prompts are in training and in validation; split by prompt")


def _check_positions(positions: AnyArray, size: int, name: str, things: str) -> None:
    _refuse(
        (positions < 0) | (positions >= size), positions, name, f"from 0 to {size - 1}, as there "
        f"are {size} {things}"
    )  # fmt: skip


def _refuse(bad: AnyArray, values: AnyArray, name: str, accepted: str) -> None:
    """Raise on the first bad value."""
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{name} {values[row].item()!r} of comparison {row} must be {accepted}")
