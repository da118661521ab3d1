"""What every family needs before it learns: prompts, vectors, sides, labels, and the split."""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from routecast.data.near_duplicates import DuplicateGroups, group_near_duplicates
from routecast.data.preferences import PreferenceArrays, merge_preferences
from routecast.data.splits import PromptSplit, folds_by_prompt, split_by_prompt
from routecast.embed.protocol import Embedder
from routecast.errors import DataError
from routecast.train.pair_labels import PairLabels, join_labels, labels_of
from routecast.train.progress import Watch, tell
from routecast.train.sides import Sides, resolve_sides
from routecast.train.sources import LabelledSet, conversation_labels
from routecast.types import AnyArray, EmbeddingArray, IntArray

MIN_LABELLED = 10
"""Fewest prompts with a label between strong and weak to calibrate on, and to test on."""

N_FOLDS = 10

_BLOCK = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Labelled prompts, split.

    Attributes:
        preferences: All comparisons of all sets.
        embeddings: One unit vector per prompt, shape (n_prompts, dimension).
        sides: Who stands for strong and who for weak.
        labels: What happened between them.
        duplicates: Which prompts are nearly the same.
        split: Positions of the prompts for training, validation and test.
        folds: Fold of each prompt, shape (n_prompts,), where all are for training; else None.
    """

    preferences: PreferenceArrays
    embeddings: EmbeddingArray
    sides: Sides
    labels: PairLabels
    duplicates: DuplicateGroups
    split: PromptSplit
    folds: IntArray | None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        """The different prompts of all sets."""
        return self.preferences.prompts

    def lesson_parts(self) -> tuple[PreferenceArrays, PreferenceArrays]:
        """Return training and validation comparisons of the models that training has.

        A model that the split left without a training comparison is in neither.
        """
        training, validation = (
            self.comparisons(rows) for rows in (self.split.train, self.split.validation)
        )
        met = np.union1d(training.model_a_index, training.model_b_index)
        known = np.isin(validation.model_a_index, met) & np.isin(validation.model_b_index, met)
        return _of_models(training, met), _of_models(validation.take(known), met)

    def comparisons(self, positions: IntArray) -> PreferenceArrays:
        """Return the comparisons of some prompts."""
        return self.preferences.take(np.isin(self.preferences.prompt_index, positions))

    def labels_on(self, positions: IntArray) -> PairLabels:
        """Return the labels of some prompts."""
        return self.labels.take(np.flatnonzero(np.isin(self.labels.prompt_index, positions)))

    def folds_of(self, positions: IntArray) -> IntArray:
        """Return the fold of some prompts; they have folds."""
        if self.folds is None:
            raise ValueError("there are no folds: not all prompts are for training")
        return self.folds[positions]


def prepare(
    sets: Sequence[LabelledSet],
    *,
    strong: Sequence[str],
    weak: Sequence[str],
    fractions: tuple[float, float, float],
    seed: int,
    embedder: Embedder,
    test_sets: Sequence[LabelledSet] = (),
    watch: Watch | None = None,
) -> Prepared:
    """Merge the sets, find the labels, embed each prompt once and split.

    What is wrong with the sides or the number of labels is found before anything is embedded.

    Args:
        sets: What to learn from.
        strong: Models or tiers, see `resolve_sides`.
        weak: Likewise.
        fractions: Shares of the prompts for training, validation and test.
        seed: Decides the split.
        embedder: Gives the vectors.
        test_sets: What to test on, instead of a share of the prompts.
        watch: Called as the work goes on.

    Raises:
        ConfigError: If a model or tier is unknown.
        DataError: If there is too little to learn from, to calibrate on or to test on, or a vector
            is not finite.
    """
    everything = [*sets, *test_sets]
    preferences = merge_preferences([one.preferences for one in everything])
    sides = resolve_sides(preferences, strong=strong, weak=weak)
    positions = {prompt: position for position, prompt in enumerate(preferences.prompts)}
    labels = join_labels([labels_of(one, sides, positions) for one in everything])
    tested = _positions(test_sets, positions)
    _check_labels(labels, tested, sides, fractions)
    embeddings = embed_prompts(preferences.prompts, embedder, watch)
    tell(watch, "finding near-duplicates")
    duplicates = group_near_duplicates(preferences.prompts, embeddings.__getitem__)
    dealing = _Dealing(
        preferences.prompts, duplicates, conversation_labels(sets, preferences.prompts), seed
    )
    split = dealing.split(fractions, tested)
    prepared = Prepared(
        preferences=preferences,
        embeddings=embeddings,
        sides=sides,
        labels=labels,
        duplicates=duplicates,
        split=split,
        folds=dealing.folds() if fractions[0] == 1.0 else None,
    )
    if sides.tiers is not None:  # tiers by ratings of the training comparisons alone
        training, _ = prepared.lesson_parts()
        sides = resolve_sides(training, strong=strong, weak=weak)
        labels = join_labels([labels_of(one, sides, positions) for one in everything])
        prepared = replace(prepared, sides=sides, labels=labels)
    _check_split(prepared)
    return replace(prepared, sides=_learnable(prepared))


def embed_prompts(
    prompts: Sequence[str], embedder: Embedder, watch: Watch | None = None
) -> EmbeddingArray:
    """Embed block by block, and refuse vectors that nothing can be learned from.

    Raises:
        DataError: If there is not one finite vector of the embedder's dimension per prompt.
    """
    dimension = embedder.identity.dimension
    embeddings = np.empty((len(prompts), dimension), dtype=np.float32)
    for start in range(0, len(prompts), _BLOCK):
        tell(watch, "embedding", n_done=start, n_total=len(prompts))
        block = prompts[start : start + _BLOCK]
        vectors = embedder.embed(block)
        if vectors.shape != (len(block), dimension):
            raise DataError(
                f"embedder {embedder.identity.name!r} gave vectors of shape {vectors.shape!r} for "
                f"{len(block)} prompts; accepted is {(len(block), dimension)!r}"
            )
        if not np.isfinite(vectors).all():
            row = start + int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            raise DataError(
                f"embedder {embedder.identity.name!r} gave a vector that is not finite for prompt "
                f"{row}; leave that prompt out, or use another embedder"
            )
        embeddings[start : start + len(block)] = vectors
    return embeddings


def _of_models(preferences: PreferenceArrays, kept: AnyArray) -> PreferenceArrays:
    """List only the kept models, ascending positions; all comparisons are among them."""
    places = np.full(len(preferences.models), -1, dtype=np.int32)
    places[kept] = np.arange(len(kept))
    return replace(
        preferences,
        models=tuple(preferences.models[model] for model in kept.tolist()),
        model_a_index=places[preferences.model_a_index],
        model_b_index=places[preferences.model_b_index],
    )


def _positions(sets: Sequence[LabelledSet], positions: Mapping[str, int]) -> IntArray:
    """Return where the prompts of some sets stand, ascending."""
    found = {positions[prompt] for one in sets for prompt in one.preferences.prompts}
    return np.array(sorted(found), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Dealing:
    """Prompts to be dealt out; neither near-duplicates nor conversations are torn apart."""

    prompts: Sequence[str]
    duplicates: DuplicateGroups
    conversations: Sequence[str | None]
    seed: int

    def split(self, fractions: tuple[float, float, float], tested: IntArray) -> PromptSplit:
        """Split the prompts, but for those that are tested on anyway."""
        others = np.setdiff1d(np.arange(len(self.prompts)), tested)
        prompts, groups = self._tied(others)
        split = split_by_prompt(prompts, fractions=fractions, seed=self.seed, groups=groups)
        train, validation, test = (
            others[rows[rows < len(others)]] for rows in (split.train, split.validation, split.test)
        )
        return PromptSplit(train=train, validation=validation, test=np.union1d(test, tested))

    def folds(self) -> IntArray | None:
        """Return the fold of each prompt, shape (n_prompts,); None if all belong together.

        There are ten, or fewer: of ten prompts each, and as many as what belongs together allows.
        """
        prompts, groups = self._tied(np.arange(len(self.prompts)))
        for n_folds in range(min(N_FOLDS, max(2, len(self.prompts) // MIN_LABELLED)), 1, -1):
            with suppress(ValueError):
                found = folds_by_prompt(prompts, n_folds=n_folds, seed=self.seed, groups=groups)
                return found[: len(self.prompts)]
        return None

    def _tied(self, rows: IntArray) -> tuple[list[str], list[Hashable | None]]:
        """Return prompts and their groups; each prompt twice where a conversation ties it too."""
        chosen = rows.tolist()
        prompts = [self.prompts[row] for row in chosen]
        groups: list[Hashable | None] = self.duplicates.labels[rows].tolist()
        conversations = [self.conversations[row] for row in chosen]
        if not any(conversations):
            return prompts, groups
        return [*prompts, *prompts], [*groups, *conversations]


def _check_labels(
    labels: PairLabels, tested: IntArray, sides: Sides, fractions: tuple[float, float, float]
) -> None:
    """Refuse to start with fewer labelled prompts than fit, calibration and test need."""
    names = f"strong {list(sides.strong)!r} and weak {list(sides.weak)!r}"
    if not len(labels):
        raise DataError(
            f"{names} never met on any prompt, so nothing says when strong is worth it; name "
            "models that were compared with one another, or tiers"
        )
    n_labelled = len(np.setdiff1d(labels.prompt_index, tested))
    smallest = min(fraction for fraction in fractions if fraction > 0)
    n_needed = int(np.ceil(MIN_LABELLED / smallest))
    if n_labelled < n_needed:
        purpose = (
            "learn from them"
            if smallest == 1.0
            else f"keep {MIN_LABELLED} each for what is not learned from"
        )
        raise DataError(
            f"{n_labelled} different prompts have labels between {names}; {n_needed} are needed to "
            f"{purpose}: label more prompts, or name more models or tiers for each side"
        )


def _learnable(prepared: Prepared) -> Sides:
    """Leave out of the sides what the split left without a training comparison."""
    training, _ = prepared.lesson_parts()
    sides = prepared.sides
    strong, weak = (
        tuple(name for name in names if name in training.models)
        for names in (sides.strong, sides.weak)
    )
    for side, names, kept in (("strong", sides.strong, strong), ("weak", sides.weak, weak)):
        if not kept:
            raise DataError(
                f"no comparison of {side} {list(names)!r} is among the training prompts; label "
                "more prompts, name more models or tiers, or try another --seed"
            )
    return replace(sides, strong=strong, weak=weak)


def _check_split(prepared: Prepared) -> None:
    split = prepared.split
    for side, positions in (("validation", split.validation), ("test", split.test)):
        n_labelled = len(np.unique(prepared.labels_on(positions).prompt_index))
        if len(positions) and n_labelled < MIN_LABELLED // 2:
            raise DataError(
                f"only {n_labelled} of the {len(positions):,} prompts for {side} have a label "
                "between strong and weak; label more prompts, name more models or tiers for each "
                "side, or try another --seed"
            )
