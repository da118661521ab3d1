"""Matrix factorisation: a score per model and prompt, from comparisons.

    delta(M, q) = w2' (v_M * (W1' v_q + b))           * is element-wise
    P(win M_w over M_l | q) = sigmoid(delta(M_w, q) - delta(M_l, q))

Ong et al. (2024), arXiv:2406.18665, section 4.2. For a fixed pair the difference is linear in the
prompt's embedding v_q, so a bound router is one dot product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError, DataError
from routecast.routers.binding import (
    DEFAULT_STRONG,
    DEFAULT_WEAK,
    refuse_overlap,
    resolve_name,
    tier_number,
    tiers_in_order,
)
from routecast.stats.platt import sigmoid
from routecast.types import AnyArray, EmbeddingArray, FloatArray, IntArray

_WEIGHTS = ("projection", "projection_bias", "output", "model_vectors")


def linear_form(
    *,
    projection: FloatArray,
    projection_bias: FloatArray,
    output: FloatArray,
    model_vectors: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Multiply the factors out: delta(M, q) = v_q . slopes[:, M] + constants[M].

    Returns:
        Slopes, shape (dimension, n_models), and constants, shape (n_models,).
    """
    head = model_vectors * output  # (n_models, n_factors)
    return projection @ head.T, head @ projection_bias


@dataclass(frozen=True, eq=False)
class MatrixFactorization:
    """Learnt weights; scores any of its models on any prompt.

    Attributes:
        model_names: Models that the comparisons held, in the order of ``model_vectors``.
        projection: W1, shape (dimension, n_factors).
        projection_bias: b, shape (n_factors,).
        output: w2, shape (n_factors,).
        model_vectors: v_M per model, shape (n_models, n_factors).
        n_comparisons: Comparisons that each model took part in, shape (n_models,); 0 for one that
            was placed by its rating.
        model_tiers: Tier of each model, 0 the strongest, -1 where it has none, shape (n_models,);
            None where no model has one.
    """

    model_names: tuple[str, ...]
    projection: FloatArray
    projection_bias: FloatArray
    output: FloatArray
    model_vectors: FloatArray
    n_comparisons: FloatArray
    model_tiers: IntArray | None = None

    def scores(self, embeddings: EmbeddingArray) -> FloatArray:
        """Return delta(M, q) per prompt and model, in log-odds.

        Args:
            embeddings: Of prompts, by the embedder that the weights were fitted on, shape
                (n_prompts, dimension).

        Returns:
            Shape (n_prompts, n_models), columns as in ``model_names``. Only differences between
            models mean something: P(M beats N) is the sigmoid of score(M) - score(N).

        Raises:
            DataError: If the embeddings are of another dimension.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != len(self.projection):
            raise DataError(
                f"embeddings have the shape {embeddings.shape!r}; accepted is "
                f"(n_prompts, {len(self.projection)}), from the embedder of the training prompts"
            )
        slopes, constants = linear_form(**{name: getattr(self, name) for name in _WEIGHTS})
        products = embeddings @ slopes.astype(embeddings.dtype)
        return np.asarray(products, dtype=np.float64) + constants

    def scores_of_prompts(self, prompts: Sequence[str], embedder: Embedder) -> FloatArray:
        """Embed prompts and return ``scores`` of them, shape (n_prompts, n_models).

        Raises:
            DataError: If the embedder's vectors are of another dimension.
        """
        return self.scores(embedder.embed(prompts))

    def bind(
        self,
        *,
        strong: Sequence[str] = DEFAULT_STRONG,
        weak: Sequence[str] = DEFAULT_WEAK,
        embedder: Embedder,
        aliases: Mapping[str, str] | None = None,
    ) -> "BoundMatrixFactorization":
        """Fix who is strong and who is weak.

        A set of models is scored by the mean of its members' scores, weighted by their number of
        comparisons; a model without any counts as with one.

        Args:
            strong: One or more of ``model_names``, or tiers as ``tier:N``, or keys of ``aliases``.
                By default tiers 0 and 1, as in the paper.
            weak: One or more, none of them in ``strong``. By default tier 2.
            embedder: Gives the vectors that the weights were fitted on.
            aliases: Which model or tier a name of one's own stands for:
                ``{"my-model": "gpt-4-1106-preview"}``.

        Raises:
            ConfigError: If a set is empty, the sets overlap, a model or tier is unknown, or the
                embedder's dimension is another.
        """
        strong_models = self._members(strong, side="strong", aliases=aliases)
        weak_models = self._members(weak, side="weak", aliases=aliases)
        refuse_overlap(strong_models, weak_models)
        if embedder.identity.dimension != len(self.projection):
            raise ConfigError(
                f"embedder {embedder.identity.name!r} gives {embedder.identity.dimension} "
                f"dimensions, and this router reads {len(self.projection)}; use the embedder that "
                "it was trained with"
            )
        contrast = self._mean_vector(strong_models) - self._mean_vector(weak_models)
        head = self.output * contrast  # (n_factors,)
        return BoundMatrixFactorization(
            embedder=embedder,
            direction=self.projection @ head,
            bias=float(self.projection_bias @ head),
        )

    def with_tiers(self, tiers: Mapping[str, int]) -> "MatrixFactorization":
        """Return the same weights with tiers to bind by.

        Args:
            tiers: Tier by model, 0 the strongest, as from `TierTable.tier_by_model`; models that
                this router does not know are passed over.

        Raises:
            ConfigError: If a tier is below 0, or none of this router's models has one.
        """
        return replace(self, model_tiers=tiers_in_order(self.model_names, tiers))

    def with_model(
        self, name: str, vector: FloatArray, *, n_comparisons: float = 0.0
    ) -> "MatrixFactorization":
        """Return a router that knows one more model, everything else as it is.

        Args:
            name: Not yet one of ``model_names``, nor empty or of several lines.
            vector: v_M, finite, shape (n_factors,).
            n_comparisons: That the vector rests on; 0 where it was placed by a rating.

        Raises:
            ConfigError: If the name is taken or unusable.
            DataError: If the vector is of another length or not finite.
        """
        if name in self.model_names:
            raise ConfigError(f"model {name!r} is in this router already; choose another name")
        if not name.strip() or "\n" in name or tier_number(name) is not None:
            raise ConfigError(f"{name!r} is no name of a model; give one line of text")
        if vector.shape != self.output.shape or not np.isfinite(vector).all():
            raise DataError(
                f"the vector of {name!r} must be {len(self.output)} finite numbers, and has the "
                f"shape {vector.shape!r}"
            )
        tiers = self.model_tiers
        return replace(
            self,
            model_names=(*self.model_names, name),
            model_vectors=np.vstack([self.model_vectors, vector]),
            n_comparisons=np.append(self.n_comparisons, n_comparisons),
            model_tiers=None if tiers is None else np.append(tiers, -1),
        )

    def _members(
        self, names: Sequence[str], *, side: str, aliases: Mapping[str, str] | None
    ) -> list[str]:
        """Return the models of a side, each once."""
        if not names:
            raise ConfigError(
                f"no {side} model is named; name at least one of {list(self.model_names)!r}"
            )
        members: dict[str, None] = {}
        for name in names:
            target = resolve_name(name, self.model_names, side=side, aliases=aliases)
            if target in self.model_names:
                members[target] = None
            else:
                members.update(dict.fromkeys(self._tier_members(target)))
        return list(members)

    def _tier_members(self, tier: str) -> list[str]:
        if self.model_tiers is None:
            raise ConfigError(
                f"this router has no tiers, so {tier!r} names nobody; name models of it, such as "
                f"{list(self.model_names[:5])!r}, or train it with tiers"
            )
        rows = np.flatnonzero(self.model_tiers == tier_number(tier))
        if not len(rows):
            present = [f"tier:{number}" for number in np.unique(self.model_tiers) if number >= 0]
            raise ConfigError(f"{tier!r} has no model in this router; choose one of {present!r}")
        return [self.model_names[row] for row in rows]

    def _mean_vector(self, names: Sequence[str]) -> FloatArray:
        """Average the vectors of some models, shape (n_factors,)."""
        rows = [self.model_names.index(name) for name in names]
        weights = np.maximum(self.n_comparisons[rows], 1.0)
        return np.asarray(weights @ self.model_vectors[rows] / weights.sum(), dtype=np.float64)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name; floats in single precision."""
        names = "\n".join(self.model_names).encode()
        tensors: dict[str, AnyArray] = {
            "model_names": np.frombuffer(names, dtype=np.uint8),
            **{name: getattr(self, name).astype(np.float32) for name in _WEIGHTS},
            "n_comparisons": self.n_comparisons.astype(np.float64),
        }
        if self.model_tiers is not None:
            tensors["model_tiers"] = self.model_tiers.astype(np.int64)
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing, or their shapes do not fit together.
        """
        missing = sorted({"model_names", "n_comparisons", *_WEIGHTS} - tensors.keys())
        if missing:
            raise ArtifactError(f"an mf router needs the tensors {missing!r}, which are missing")
        names = tuple(tensors["model_names"].tobytes().decode().split("\n"))
        shapes = {name: tensors[name].shape for name in (*_WEIGHTS, "n_comparisons")}
        n_models, n_factors = len(names), tensors["output"].size
        expected = {
            "projection": (*shapes["projection"][:1], n_factors),
            "projection_bias": (n_factors,),
            "output": (n_factors,),
            "model_vectors": (n_models, n_factors),
            "n_comparisons": (n_models,),
        }
        if shapes != expected:
            raise ArtifactError(
                f"the tensors of an mf router have the shapes {shapes!r}, and {n_models} models "
                f"with {n_factors} factors need {expected!r}; train it again"
            )
        weights = {name: tensors[name].astype(np.float64) for name in expected}
        return cls(model_names=names, **weights, model_tiers=tensors.get("model_tiers"))


@dataclass(frozen=True)
class BoundMatrixFactorization:
    """A pair's win probability: sigmoid(direction . embedding + bias).

    Attributes:
        embedder: Turns prompts into vectors.
        direction: Shape (dimension,).
        bias: Log-odds of a prompt at right angles to ``direction``.
    """

    embedder: Embedder
    direction: FloatArray
    bias: float

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in (0, 1)."""
        return self.win_probabilities_of(self.embedder.embed(prompts))

    def win_probabilities_of(self, embeddings: EmbeddingArray) -> FloatArray:
        """Return P(strong wins) for embeddings that are at hand, shape (n_prompts, dimension)."""
        return sigmoid(embeddings @ self.direction + self.bias)
