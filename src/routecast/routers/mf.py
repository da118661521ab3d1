"""Matrix factorisation: a score per model and prompt, from comparisons.

    delta(M, q) = w2' (v_M * (W1' v_q + b))           * is element-wise
    P(win M_w over M_l | q) = sigmoid(delta(M_w, q) - delta(M_l, q))

Ong et al. (2024), arXiv:2406.18665, section 4.2. For a fixed pair the difference is linear in the
prompt's embedding v_q, so a bound router is one dot product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

import numpy as np

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.stats.platt import sigmoid
from routecast.types import AnyArray, EmbeddingArray, FloatArray


@dataclass(frozen=True)
class MatrixFactorization:
    """Learnt weights; scores any of its models on any prompt.

    Attributes:
        model_names: Models that the comparisons held, in the order of ``model_vectors``.
        projection: W1, shape (dimension, n_factors).
        projection_bias: b, shape (n_factors,).
        output: w2, shape (n_factors,).
        model_vectors: v_M per model, shape (n_models, n_factors).
        n_comparisons: Comparisons that each model took part in, shape (n_models,).
    """

    model_names: tuple[str, ...]
    projection: FloatArray
    projection_bias: FloatArray
    output: FloatArray
    model_vectors: FloatArray
    n_comparisons: FloatArray

    def scores(self, embeddings: EmbeddingArray) -> FloatArray:
        """Return delta(M, q) per prompt and model, shape (n_prompts, n_models)."""
        hidden = embeddings @ self.projection + self.projection_bias  # (n_prompts, n_factors)
        return np.asarray(hidden @ (self.model_vectors * self.output).T, dtype=np.float64)

    def bind(
        self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder
    ) -> "BoundMatrixFactorization":
        """Fix who is strong and who is weak.

        A set of models is scored by the mean of its members' scores, weighted by their number of
        comparisons.

        Args:
            strong: One or more of ``model_names``.
            weak: One or more of ``model_names``, none of them in ``strong``.
            embedder: Gives the vectors that the weights were fitted on.

        Raises:
            ConfigError: If a set is empty, the sets overlap, or a model is unknown.
        """
        shared = sorted(set(strong) & set(weak))
        if shared:
            raise ConfigError(f"models {shared!r} are both strong and weak; name each on one side")
        contrast = self._mean_vector(strong, side="strong") - self._mean_vector(weak, side="weak")
        head = self.output * contrast  # (n_factors,)
        return BoundMatrixFactorization(
            embedder=embedder,
            direction=self.projection @ head,
            bias=float(self.projection_bias @ head),
        )

    def _mean_vector(self, names: Sequence[str], *, side: str) -> FloatArray:
        """Average the vectors of some models, shape (n_factors,)."""
        if not names:
            raise ConfigError(f"no {side} model is named; name at least one of {self.model_names}")
        rows = [self._row(name) for name in names]
        weights = self.n_comparisons[rows]
        return np.asarray(weights @ self.model_vectors[rows] / weights.sum(), dtype=np.float64)

    def _row(self, name: str) -> int:
        if name not in self.model_names:
            nearest = get_close_matches(name, self.model_names, n=5, cutoff=0.3)
            raise ConfigError(
                f"model {name!r} is not in this router's comparisons; "
                f"the nearest names are {nearest or list(self.model_names)!r}"
            )
        return self.model_names.index(name)

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name; floats in single precision."""
        names = "\n".join(self.model_names).encode()
        return {
            "model_names": np.frombuffer(names, dtype=np.uint8),
            "projection": self.projection.astype(np.float32),
            "projection_bias": self.projection_bias.astype(np.float32),
            "output": self.output.astype(np.float32),
            "model_vectors": self.model_vectors.astype(np.float32),
            "n_comparisons": self.n_comparisons.astype(np.float64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing.
        """
        names = ("projection", "projection_bias", "output", "model_vectors", "n_comparisons")
        missing = sorted({"model_names", *names} - tensors.keys())
        if missing:
            raise ArtifactError(f"an mf router needs the tensors {missing!r}, which are missing")
        return cls(
            tuple(tensors["model_names"].tobytes().decode().split("\n")),
            *(tensors[name].astype(np.float64) for name in names),
        )


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
