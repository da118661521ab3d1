"""Similarity-weighted ranking: Bradley-Terry over tiers of models, fitted anew for each prompt.

    w_i = gamma^(1 + S(q, q_i))                      weight of training prompt q_i for the query q
    P(tier s beats tier w | q) = sigmoid(xi_s - xi_w)

with xi the weighted maximum-likelihood strengths. Ong et al. (2024), arXiv:2406.18665, section 4.2.
The weights of all comparisons of two tiers add up, so each fit sees a matrix of tiers x tiers.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError, DataError
from routecast.routers.binding import (
    DEFAULT_STRONG,
    DEFAULT_WEAK,
    refuse_overlap,
    resolve_name,
    tier_number,
)
from routecast.routers.sw_prompts import PromptIndex, SingleArray, prompts_from_tensors
from routecast.routers.sw_records import WinRecords
from routecast.stats.bradley_terry import fit_strengths
from routecast.stats.platt import sigmoid
from routecast.types import AnyArray, EmbeddingArray, FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

MAX_GAMMA = 1e30
PAPER_GAMMA = 10.0
SHARP_GAMMA = 1e4
"""What to ask for in place of the paper's 10 where there are thousands of training prompts: with
``normalise="train"`` it had the lowest validation loss on MMLU-Pro's (``results/sw_gamma.md``)."""

_BLOCK_WEIGHTS = 1 << 21  # weights held at once per thread: 8 MB, near a processor's cache
_LEAST_FACTOR = 0.01  # a cell's wins stay above 0 where the first term overshoots
_UNIT_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True)
class SwSettings:
    """How similarity becomes weight.

    Attributes:
        gamma: The most similar prompts weigh up to gamma times as much as those at right angles;
            above 0, at most 1e30. 1 weighs all alike.
        normalise: ``train``: S is the cosine, as in the paper, whose divisor is each training
            prompt's cosine with itself. ``query``: S is the cosine divided by the query's largest,
            as in the published code.
        n_neighbours: Only this many of the most similar prompts count; all when None. Prompts as
            similar as the last of them count too.
        background: Share of the weight that all comparisons hold evenly, in [0, 1): what keeps a
            fit sane where the rest of the weight lies on few comparisons. The paper has none.
    """

    gamma: float = PAPER_GAMMA
    normalise: Literal["train", "query"] = "train"
    n_neighbours: int | None = None
    background: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if not 0 < self.gamma <= MAX_GAMMA:
            raise ConfigError(
                f"gamma {self.gamma!r} is out of range; accepted is above 0 and at most "
                f"{MAX_GAMMA:g} (the paper has 10; 1 weighs all prompts alike)"
            )
        if self.normalise not in ("train", "query"):
            raise ConfigError(
                f"unknown normalise {self.normalise!r}; choose one of ['train', 'query']"
            )
        if self.n_neighbours is not None and self.n_neighbours < 1:
            raise ConfigError(
                f"n_neighbours {self.n_neighbours!r} is out of range; accepted is 1 or more, or "
                "None for all prompts"
            )
        if not 0 <= self.background < 1:
            raise ConfigError(
                f"background {self.background!r} is out of range; accepted is from 0 (the paper's) "
                "to below 1"
            )


@dataclass(frozen=True, eq=False)
class SimilarityWeighted:
    """Comparisons by prompt; scores any of its tiers, and the models in them, on any prompt.

    Attributes:
        model_names: Models with a tier.
        model_tiers: Tier of each, 0 the strongest, shape (n_models,).
        n_comparisons: Comparisons that each took part in, shape (n_models,); 0 for models that are
            known by their tier alone.
        prompts: The training prompts, in the order of ``records``.
        records: Wins of tier over tier on each of them.
        settings: How similarity becomes weight.
        cell_rests: In the compressed form, the mean of what the components leave out of a cell's
            embeddings, shape (n_tiers, n_tiers, dimension); None in the exact form.
    """

    model_names: tuple[str, ...]
    model_tiers: IntArray
    n_comparisons: FloatArray
    prompts: PromptIndex
    records: WinRecords
    settings: SwSettings
    cell_rests: SingleArray | None = None

    @property
    def n_tiers(self) -> int:
        """Number of tiers."""
        return self.records.n_tiers

    def coefficients(self, embeddings: EmbeddingArray, *, n_threads: int = 1) -> FloatArray:
        """Return the strength of each tier on each prompt, in log-odds.

        Args:
            embeddings: Unit vectors of prompts, shape (n_prompts, dimension).
            n_threads: Python threads that share the work. More than one pays where the BLAS
                library is held to one thread, as by OPENBLAS_NUM_THREADS=1.

        Returns:
            Shape (n_prompts, n_tiers); each row sums to 0. A prompt's row does not depend on the
            other prompts, but for rounding.

        Raises:
            DataError: If the embeddings are of another dimension, not finite or zero.
        """
        queries = check_embeddings(embeddings, dimension=self.prompts.dimension)
        blocks = list(self._blocks(queries))
        if n_threads > 1 and len(blocks) > 1:
            with ThreadPoolExecutor(n_threads) as pool:
                parts = list(pool.map(self._block_coefficients, blocks))
        else:
            parts = [self._block_coefficients(block) for block in blocks]
        return np.concatenate([np.zeros((0, self.n_tiers)), *parts])

    def model_coefficients(self, embeddings: EmbeddingArray) -> FloatArray:
        """Return the strength of each model's tier per prompt, shape (n_prompts, n_models)."""
        return self.coefficients(embeddings)[:, self.model_tiers]

    def wins(self, embeddings: EmbeddingArray) -> FloatArray:
        """Return the weighted wins of row tier over column tier that each prompt's fit sees.

        Args:
            embeddings: Unit vectors, shape (n_prompts, dimension). All are weighted at once, so
                keep n_prompts times the training prompts within memory.

        Returns:
            Shape (n_prompts, n_tiers, n_tiers), each adding up to the number of comparisons.
        """
        cosines, largest = self.prompts.similarities(embeddings)
        far = self._too_far(cosines)
        rates = self._rates(largest)
        cosines *= rates[:, None]
        weights = np.exp(cosines, out=cosines)
        if far is not None:
            weights[far] = 0
        if self._has_totals:
            weights *= self.records.totals
        wins = self.records.weighted_wins(weights)
        if self.cell_rests is not None:
            rests = np.tensordot(embeddings, self.cell_rests, axes=(1, 2)) * rates[:, None, None]
            wins *= np.maximum(1.0 + rests, _LEAST_FACTOR)
        share = self.settings.background
        return (1.0 - share) * wins + share * self._even_wins if share else wins

    def bind(
        self,
        *,
        strong: Sequence[str] = DEFAULT_STRONG,
        weak: Sequence[str] = DEFAULT_WEAK,
        embedder: Embedder,
        aliases: Mapping[str, str] | None = None,
    ) -> "BoundSimilarityWeighted":
        """Fix who is strong and who is weak.

        A model scores what its tier scores, and a set the mean of its members, weighted by their
        number of comparisons.

        Args:
            strong: One or more models, or tiers as ``tier:N``; ``tier:0`` is the strongest. By
                default tiers 0 and 1, as in the paper.
            weak: One or more. By default tier 2.
            embedder: Gives the vectors that the training prompts were embedded by.
            aliases: Other names to models or tiers of this router.

        Raises:
            ConfigError: If a set is empty, a name is unknown, the sets share a member or come to
                the same tiers, or the embedder's dimension is another.
        """
        sides = {
            side: [
                resolve_name(name, self.model_names, side=side, aliases=aliases) for name in names
            ]
            for side, names in (("strong", strong), ("weak", weak))
        }
        refuse_overlap(sides["strong"], sides["weak"])
        shares = [self._tier_shares(names, side=side) for side, names in sides.items()]
        contrast = shares[0] - shares[1]
        if np.abs(contrast).max() < 1e-12:
            raise ConfigError(
                f"strong {list(strong)!r} and weak {list(weak)!r} are the same tiers: every prompt "
                "would score 0.5; name models of different tiers, or fit with more tiers"
            )
        if embedder.identity.dimension != self.prompts.dimension:
            raise ConfigError(
                f"embedder {embedder.identity.name!r} gives {embedder.identity.dimension} "
                f"dimensions, and the training prompts have {self.prompts.dimension}; use the "
                "embedder that this router was trained with"
            )
        return BoundSimilarityWeighted(embedder=embedder, ranking=self, contrast=contrast)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        return {
            "model_names": _bytes_of("\n".join(self.model_names)),
            "model_tiers": self.model_tiers,
            "n_comparisons": self.n_comparisons,
            "settings": _bytes_of(json.dumps(asdict(self.settings))),
            **self.prompts.tensors(),
            **self.records.tensors(),
            **({} if self.cell_rests is None else {"cell_rests": self.cell_rests}),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing.
        """
        try:
            return cls(
                model_names=tuple(tensors["model_names"].tobytes().decode().split("\n")),
                model_tiers=tensors["model_tiers"],
                n_comparisons=tensors["n_comparisons"],
                settings=SwSettings(**json.loads(tensors["settings"].tobytes())),
                prompts=prompts_from_tensors(tensors),
                records=WinRecords.from_tensors(tensors),
                cell_rests=tensors.get("cell_rests"),
            )
        except KeyError as error:
            raise ArtifactError(
                f"an sw router needs the tensor {error.args[0]!r}, which is missing; "
                "copy the whole folder again, or train again"
            ) from None

    def _blocks(self, queries: EmbeddingArray) -> Iterator[EmbeddingArray]:
        n_rows = max(1, _BLOCK_WEIGHTS // len(self.prompts))
        for start in range(0, len(queries), n_rows):
            yield queries[start : start + n_rows]

    def _block_coefficients(self, queries: EmbeddingArray) -> FloatArray:
        return fit_strengths(self.wins(queries), start=self._even_strengths)

    def _too_far(self, cosines: SingleArray) -> BoolArray | None:
        """Return where a prompt is no neighbour, shape (n_queries, n_prompts); None if nowhere."""
        n_neighbours = self.settings.n_neighbours
        if n_neighbours is None or n_neighbours >= len(self.prompts):
            return None
        last = len(self.prompts) - n_neighbours
        return cosines < np.partition(cosines, last, axis=1)[:, last, None]

    def _rates(self, largest: SingleArray) -> SingleArray:
        """Return the rise of a weight's logarithm with the cosine, per query."""
        rates = np.full(len(largest), math.log(self.settings.gamma), dtype=np.float32)
        if self.settings.normalise == "query":
            # Where no prompt is on the query's side, the quotient would turn the order around.
            rates /= np.where(largest > 0, largest, np.float32(1))
        return rates

    @cached_property
    def _has_totals(self) -> bool:
        return bool(np.ptp(self.records.totals) > 0)

    @cached_property
    def _even_wins(self) -> FloatArray:
        """Wins with all prompts weighted alike, shape (n_tiers, n_tiers)."""
        return np.asarray(self.records.weighted_wins(self.records.totals[None, :])[0])

    @cached_property
    def _even_strengths(self) -> FloatArray:
        """The fit to those: where every other starts, shape (n_tiers,)."""
        return fit_strengths(self._even_wins)

    def _tier_shares(self, names: Sequence[str], *, side: str) -> FloatArray:
        """Return how much of a set's score each tier gives, shape (n_tiers,), adding up to 1."""
        if not names:
            raise ConfigError(f"no {side} model is named; name a model, or a tier as 'tier:0'")
        shares = np.zeros(self.n_tiers)
        for name in names:
            tier, n_comparisons = self._member(name)
            shares[tier] += max(n_comparisons, 1.0)  # a model known by its tier alone counts once
        return np.asarray(shares / shares.sum())

    def _member(self, name: str) -> tuple[int, float]:
        """Return the tier that a name stands for, and its number of comparisons."""
        if name in self.model_names:
            row = self.model_names.index(name)
            return int(self.model_tiers[row]), float(self.n_comparisons[row])
        tier = tier_number(name)
        if tier is None or tier >= self.n_tiers:
            raise ConfigError(
                f"unknown tier {name!r}; this router has 'tier:0', the strongest, to "
                f"'tier:{self.n_tiers - 1}'"
            )
        return tier, float(self.n_comparisons[self.model_tiers == tier].sum())


@dataclass(frozen=True, eq=False)
class BoundSimilarityWeighted:
    """A pair's win probability: sigmoid(coefficients . contrast).

    Attributes:
        embedder: Turns prompts into vectors.
        ranking: Gives coefficients per tier.
        contrast: The strong set's share of each tier, less the weak set's, shape (n_tiers,).
    """

    embedder: Embedder
    ranking: SimilarityWeighted
    contrast: FloatArray

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in (0, 1)."""
        return self.win_probabilities_of(self.embedder.embed(prompts))

    def win_probabilities_of(self, embeddings: EmbeddingArray, *, n_threads: int = 1) -> FloatArray:
        """Return P(strong wins) for embeddings that are at hand, shape (n_prompts, dimension)."""
        return sigmoid(self.ranking.coefficients(embeddings, n_threads=n_threads) @ self.contrast)


def check_embeddings(embeddings: EmbeddingArray, *, dimension: int | None = None) -> EmbeddingArray:
    """Return embeddings as unit vectors.

    Args:
        embeddings: Shape (n_prompts, dimension).
        dimension: The dimension that they must have; any when None.

    Raises:
        DataError: If the shape is another, or a vector is not finite or zero.
    """
    if embeddings.ndim != 2 or dimension not in (None, embeddings.shape[1]):
        raise DataError(
            f"embeddings have the shape {embeddings.shape!r}; accepted is "
            f"(n_prompts, {dimension or 'dimension'}), from the embedder of the training prompts"
        )
    lengths = np.sqrt(np.einsum("ij,ij->i", embeddings, embeddings, dtype=np.float64))
    for is_bad, what in (
        (~np.isfinite(lengths), "not finite"),
        (lengths == 0, "zero, and has no direction"),
    ):
        if is_bad.any():
            raise DataError(
                f"the embedding of prompt {int(is_bad.argmax())} is {what}; "
                "embed that prompt again, or leave it out"
            )
    if np.abs(lengths - 1.0).max(initial=0.0) > _UNIT_TOLERANCE:
        embeddings = (embeddings / lengths[:, None]).astype(np.float32)
    return np.ascontiguousarray(embeddings, dtype=np.float32)


def _bytes_of(text: str) -> AnyArray:
    return np.frombuffer(text.encode(), dtype=np.uint8)
