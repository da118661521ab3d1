"""Every router, fitted to the same few labels, scores the same other prompts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from runs.few_labels.blend_fits import BLEND, HALVES, score_blend
from runs.few_labels.sets import Sample
from runs.neighbours import NearestNeighbours

from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.errors import DataError
from routecast.evaluate.metrics import oracle_scores
from routecast.train.fitting import fit_all
from routecast.train.prepare import Prepared, prepare
from routecast.train.registry import Family, ReadsPromptsAndEmbeddings, find_family
from routecast.train.sources import set_of_outcomes
from routecast.types import EmbeddingArray, FloatArray, IntArray

FAMILIES = ("mf", "sw")
NEIGHBOURS, LENGTH, ORACLE = "nearest neighbours", "length", "oracle"
MEMBERS = (*HALVES, NEIGHBOURS, LENGTH)
"""What `blend` is made of, as far as it can stand alone, and what it must not fall behind."""

ROUTERS = (BLEND, *HALVES, *FAMILIES, NEIGHBOURS, LENGTH, ORACLE)
FRACTIONS = (0.8, 0.2, 0.0)
"""Of the labels, for fitting and for choosing settings, in families that need labels for both."""

WHOLE = (1.0, 0.0, 0.0)
"""In families that predict each labelled prompt from the others."""

_STRONG, _WEAK = "strong", "weak"


@dataclass(frozen=True)
class SplitScores:
    """What one draw of labels gave.

    Attributes:
        scores: Of the prompts to evaluate on, by router, each of shape (n_evaluated,).
        calibration_error: Of `blend`, calibrated on its labels, each predicted from the others;
            NaN without it.
        abstained: Share of the prompts that `blend` abstains on; NaN without it.
        refused: Families that could not be fitted to these labels; their scores are all equal.
    """

    scores: dict[str, FloatArray]
    calibration_error: float
    abstained: float
    refused: tuple[str, ...]


@dataclass(frozen=True)
class KnownVectors:
    """An embedder of a sample's prompts, whose vectors are at hand.

    Attributes:
        identity: Of the embedder that made them.
        row_of: Position of each prompt in the sample.
        vectors: Shape (n_prompts, dimension).
    """

    identity: EmbedderIdentity
    row_of: dict[str, int]
    vectors: EmbeddingArray

    @classmethod
    def of(cls, sample: Sample, identity: EmbedderIdentity) -> Self:
        """Take the vectors of a sample."""
        rows = {prompt: row for row, prompt in enumerate(sample.prompts)}
        return cls(identity, rows, sample.embeddings)

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Return their vectors, shape (n_texts, dimension); that of the empty text is 0."""
        vectors = np.zeros((len(texts), self.identity.dimension), dtype=np.float32)
        known = [place for place, text in enumerate(texts) if text]
        vectors[known] = self.vectors[self.rows([texts[place] for place in known])]
        return vectors

    def rows(self, texts: Sequence[str]) -> IntArray:
        """Return the positions of texts in the sample, shape (n_texts,)."""
        return np.array([self.row_of[text] for text in texts], dtype=np.int64)


def score_split(
    sample: Sample,
    labelled: IntArray,
    rest: IntArray,
    *,
    embedder: KnownVectors,
    seed: int,
    routers: Sequence[str] = ROUTERS,
) -> SplitScores:
    """Fit routers to some prompts and score others.

    Args:
        sample: The set.
        labelled: Positions of the prompts to learn from.
        rest: Positions of the prompts to score.
        embedder: Has the sample's vectors.
        seed: Of everything random.
        routers: Which; `blend`, what it is made of and the oracle come together or not at all.
    """
    prepared = prepare_labels(sample, labelled, embedder=embedder, seed=seed)
    whole = prepare_labels(sample, labelled, embedder=embedder, seed=seed, fractions=WHOLE)
    scores, refused = {}, []
    for name in [name for name in FAMILIES if name in routers]:
        family = find_family(name)
        try:
            win_probabilities = _fitted(
                family, whole if family.cross_fits else prepared, embedder, seed
            )
        except DataError:  # among a hundred labels the two models may be just as good
            scores[name] = np.zeros(len(rest))
            refused.append(name)
        else:
            scores[name] = win_probabilities([sample.prompts[row] for row in rest.tolist()])
    if BLEND not in routers:
        return SplitScores(scores, math.nan, math.nan, tuple(refused))
    blended = score_blend(sample, prepared, rest, rows=embedder.rows(prepared.prompts), seed=seed)
    return SplitScores(
        {**blended.scores, **scores, **_score_baselines(sample, labelled, rest)},
        blended.calibration_error,
        blended.abstained,
        tuple(refused),
    )


def _score_baselines(sample: Sample, labelled: IntArray, rest: IntArray) -> dict[str, FloatArray]:
    """Score by what learns less, or nothing, or knows all."""
    gaps, vectors = sample.strong - sample.weak, sample.embeddings
    neighbours = NearestNeighbours(vectors[labelled], gaps[labelled])
    return {
        NEIGHBOURS: neighbours.scores(vectors[rest]),
        LENGTH: np.array([len(sample.prompts[row]) for row in rest], dtype=np.float64),
        ORACLE: oracle_scores(weak_quality=sample.weak[rest], strong_quality=sample.strong[rest]),
    }


def prepare_labels(
    sample: Sample,
    labelled: IntArray,
    *,
    embedder: Embedder,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
) -> Prepared:
    """Turn labels into comparisons and split them, as ``train --outcomes`` does.

    Args:
        sample: The set.
        labelled: Positions of the labelled prompts.
        embedder: Gives the vectors.
        seed: Of the split.
        fractions: For fitting, for choosing settings, for neither.
    """
    columns = {
        "prompt": [sample.prompts[row] for row in labelled.tolist()],
        f"quality|{_STRONG}": sample.strong[labelled],
        f"quality|{_WEAK}": sample.weak[labelled],
    }
    labels = set_of_outcomes(
        Outcomes(table=pl.DataFrame(columns)), models=(_STRONG, _WEAK), soft=True
    )
    return prepare(
        [labels],
        strong=(_STRONG,),
        weak=(_WEAK,),
        fractions=fractions,
        seed=seed,
        embedder=embedder,
    )


def _fitted(
    family: Family, prepared: Prepared, embedder: KnownVectors, seed: int
) -> Callable[[Sequence[str]], FloatArray]:
    """Fit a family with its own search of settings; return what scores any prompt by the best."""
    tried = fit_all(family, family.candidates({}), prepared, embedder=embedder, seed=seed)
    bound = tried[0].bound
    if isinstance(bound, ReadsPromptsAndEmbeddings):
        return lambda prompts: bound.win_probabilities_from(prompts, embedder.embed(prompts))
    return bound.win_probabilities
