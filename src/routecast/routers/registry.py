"""Router families by name."""

from collections.abc import Mapping

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError
from routecast.routers.blend import Blend
from routecast.routers.length import LengthRouter
from routecast.routers.mf import MatrixFactorization
from routecast.routers.protocol import Router
from routecast.routers.random import RandomRouter
from routecast.routers.sw import SimilarityWeighted
from routecast.types import AnyArray

BASELINES: Mapping[str, type[RandomRouter] | type[LengthRouter]] = {
    "random": RandomRouter,
    "length": LengthRouter,
}
"""Routers that need no training, by the names that users write."""

TRAINED_FAMILIES = ("blend", "mf", "sw")
"""Routers that come from an artifact."""


def rebuild_router(
    family: str,
    tensors: Mapping[str, AnyArray],
    *,
    strong: tuple[str, ...],
    weak: tuple[str, ...],
    embedder: Embedder,
) -> Router:
    """Turn an artifact's tensors into a router that is bound to its models.

    Raises:
        ArtifactError: If the family is unknown or a tensor is missing.
        ConfigError: If a bound model is not among the artifact's models.
    """
    if family == "blend":
        return Blend.from_tensors(tensors).bind(strong=strong, weak=weak, embedder=embedder)
    if family == "mf":
        return MatrixFactorization.from_tensors(tensors).bind(
            strong=strong, weak=weak, embedder=embedder
        )
    if family == "sw":
        return SimilarityWeighted.from_tensors(tensors).bind(
            strong=strong, weak=weak, embedder=embedder
        )
    raise ArtifactError(
        f"unknown router family {family!r}; this version knows {list(TRAINED_FAMILIES)!r}"
    )
