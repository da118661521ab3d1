"""Preferences as arrays of indices: what learners train on, and gold labels made from outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes, rescale_quality
from routecast.data.reading import require_polars
from routecast.errors import DataError
from routecast.types import FloatArray

IndexArray = npt.NDArray[np.int32]
SingleArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class PreferenceArrays:
    """Comparisons with prompts and models as positions in two lists: 20 bytes a comparison.

    Attributes:
        prompts: The distinct prompts, in order of first appearance.
        models: The distinct models.
        prompt_index: Position of each comparison's prompt, shape (n_comparisons,).
        model_a_index: Position of its model a, same shape.
        model_b_index: Position of its model b, same shape; never equal to model a's.
        outcome: 1 where a wins, 0 where b wins, 0.5 for a tie, between for soft labels.
        weight: How much it counts, above 0.
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    prompt_index: IndexArray
    model_a_index: IndexArray
    model_b_index: IndexArray
    outcome: SingleArray
    weight: SingleArray

    def __len__(self) -> int:
        """Return the number of comparisons."""
        return len(self.prompt_index)

    def take(self, rows: npt.NDArray[np.integer | np.bool_]) -> "PreferenceArrays":
        """Return the chosen comparisons, by position or by mask; prompts and models stay."""
        return replace(
            self,
            prompt_index=self.prompt_index[rows],
            model_a_index=self.model_a_index[rows],
            model_b_index=self.model_b_index[rows],
            outcome=self.outcome[rows],
            weight=self.weight[rows],
        )


def preferences_from_comparisons(comparisons: Comparisons) -> PreferenceArrays:
    """Turn a table of comparisons into arrays, row by row in the same order.

    Raises:
        DataError: If the table has no prompts.
    """
    if not comparisons.has_prompts:
        raise DataError(f"{comparisons.source} has no column 'prompt'; training needs it")
    table = comparisons.table
    prompts, prompt_index = _coded(table["prompt"].to_list())
    positions = {model: position for position, model in enumerate(comparisons.models)}
    model_a, model_b = (
        table[column].replace_strict(positions).to_numpy().astype(np.int32)
        if len(table)
        else np.zeros(0, dtype=np.int32)
        for column in ("model_a", "model_b")
    )
    return PreferenceArrays(
        prompts=prompts,
        models=comparisons.models,
        prompt_index=prompt_index,
        model_a_index=model_a,
        model_b_index=model_b,
        outcome=comparisons.outcome.astype(np.float32),
        weight=comparisons.weight.astype(np.float32),
    )


def gold_preferences(
    outcomes: Outcomes,
    *,
    models: Sequence[str] | None = None,
    soft: bool = False,
) -> PreferenceArrays:
    """Compare models by the quality of their answers, prompt by prompt.

    Every pair of models gives one comparison per row where both qualities are known, the model
    named first as model a. The better quality wins (1 or 0), equal ones tie (0.5).

    Args:
        outcomes: Qualities; each row counts, also where a prompt occurs twice.
        models: Which models to compare, two or more: ``[strong, weak]`` for a named pair. By
            default all.
        soft: Keep the margin: the outcome is (1 + gap) / 2, the gap being a's quality minus b's
            on the scale [0, 1].

    Returns:
        The comparisons, pair by pair, then in row order, each of weight 1.

    Raises:
        DataError: If a model is unknown, named twice, or there are fewer than two.
    """
    chosen = tuple(outcomes.models if models is None else models)
    if len(chosen) < 2 or len(set(chosen)) != len(chosen):
        raise DataError(f"models to compare: {list(chosen)!r}; accepted are two or more, each once")
    scaled = rescale_quality(outcomes)
    qualities = np.stack([scaled.quality(model) for model in chosen])  # (n_models, n_prompts)
    prompts, row_prompt = _coded(outcomes.prompts)
    known = ~np.isnan(qualities)
    parts: list[tuple[IndexArray, int, int, SingleArray]] = []
    for a, b in combinations(range(len(chosen)), 2):
        rows = np.flatnonzero(known[a] & known[b])
        gap = qualities[a, rows] - qualities[b, rows]
        parts.append((row_prompt[rows], a, b, _outcome_of(gap, soft=soft)))
    n_rows = [len(prompt_index) for prompt_index, _, _, _ in parts]
    return PreferenceArrays(
        prompts=prompts,
        models=chosen,
        prompt_index=np.concatenate([part[0] for part in parts]),
        model_a_index=np.repeat(np.array([part[1] for part in parts], dtype=np.int32), n_rows),
        model_b_index=np.repeat(np.array([part[2] for part in parts], dtype=np.int32), n_rows),
        outcome=np.concatenate([part[3] for part in parts]),
        weight=np.ones(sum(n_rows), dtype=np.float32),
    )


def merge_preferences(parts: Sequence[PreferenceArrays]) -> PreferenceArrays:
    """Put several sets of preferences together; equal prompts and equal models become one.

    Raises:
        DataError: If there is nothing to merge.
    """
    if not parts:
        raise DataError("no preferences to merge; give at least one set")
    prompts, prompt_codes = _coded([prompt for part in parts for prompt in part.prompts])
    models, model_codes = _coded([model for part in parts for model in part.models])
    prompt_maps = np.split(prompt_codes, np.cumsum([len(part.prompts) for part in parts])[:-1])
    model_maps = np.split(model_codes, np.cumsum([len(part.models) for part in parts])[:-1])
    triples = list(zip(parts, prompt_maps, model_maps, strict=True))
    return PreferenceArrays(
        prompts=prompts,
        models=models,
        prompt_index=np.concatenate([to[part.prompt_index] for part, to, _ in triples]),
        model_a_index=np.concatenate([to[part.model_a_index] for part, _, to in triples]),
        model_b_index=np.concatenate([to[part.model_b_index] for part, _, to in triples]),
        outcome=np.concatenate([part.outcome for part in parts]),
        weight=np.concatenate([part.weight for part in parts]),
    )


def comparisons_from_preferences(preferences: PreferenceArrays, *, source: str) -> Comparisons:
    """Write arrays out as a table, ``source`` in its column of that name."""
    polars = require_polars("comparisons")
    prompts, models = polars.Series(preferences.prompts), polars.Series(preferences.models)
    columns = {
        "prompt": prompts.gather(preferences.prompt_index),
        "model_a": models.gather(preferences.model_a_index),
        "model_b": models.gather(preferences.model_b_index),
        "outcome": preferences.outcome,
        "weight": preferences.weight,
    }
    table = polars.DataFrame(columns).with_columns(source=polars.lit(source))
    return Comparisons(table=table, source=source)


def _outcome_of(gap: FloatArray, *, soft: bool) -> SingleArray:
    """Return the outcome for model a, given its quality minus b's, in [-1, 1]."""
    outcome = (1.0 + (gap if soft else np.sign(gap))) / 2.0
    return outcome.astype(np.float32)


def _coded(texts: Sequence[str]) -> tuple[tuple[str, ...], IndexArray]:
    """Return the distinct texts in order of first appearance, and each text's position there."""
    positions: dict[str, int] = {}
    codes = [positions.setdefault(text, len(positions)) for text in texts]
    return tuple(positions), np.array(codes, dtype=np.int32)
