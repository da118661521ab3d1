"""Router families by name."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.blend import Blend
from routecast.routers.length import LengthRouter
from routecast.routers.mf import MatrixFactorization
from routecast.routers.model_folder import ModelFolder
from routecast.routers.protocol import Router
from routecast.routers.random import RandomRouter
from routecast.routers.ridge import Ridge
from routecast.routers.stored_model import StoredModel
from routecast.routers.sw import SimilarityWeighted
from routecast.types import AnyArray
from routecast.upstream.endpoint import Endpoint

_VectorFamily = type[Blend] | type[MatrixFactorization] | type[Ridge] | type[SimilarityWeighted]

_VECTOR_FAMILIES: Mapping[str, _VectorFamily] = {
    "blend": Blend,
    "mf": MatrixFactorization,
    "ridge": Ridge,
    "sw": SimilarityWeighted,
}
"""Families that score vectors."""

BASELINES: Mapping[str, type[RandomRouter] | type[LengthRouter]] = {
    "random": RandomRouter,
    "length": LengthRouter,
}
"""Routers that need no training, by the names that users write."""

_TEXT_HOMES = {
    "bert": "routecast.routers.bert",
    "causal": "routecast.routers.causal",
    "causal-endpoint": "routecast.routers.causal_endpoint",
}
"""Families that read texts and need no vectors to score: each module has ``rebuild(StoredModel)``,
and is imported when it is first asked for, because it may bring torch."""

TRAINED_FAMILIES = tuple(sorted((*_VECTOR_FAMILIES, *_TEXT_HOMES)))
"""Routers that come from an artifact."""


def reads_vectors(family: str) -> bool:
    """Return whether a family scores vectors, and so needs its embedder."""
    return family in _VECTOR_FAMILIES


def rebuild_router(
    family: str,
    tensors: Mapping[str, AnyArray],
    *,
    strong: tuple[str, ...],
    weak: tuple[str, ...],
    embedder: Embedder | None,
    model_folder: ModelFolder | None = None,
    settings: Mapping[str, Any] | None = None,
    device: str | None = None,
    endpoint: Endpoint | None = None,
) -> Router:
    """Turn what an artifact holds into a router that is bound to its models.

    Args:
        family: One of `TRAINED_FAMILIES`.
        tensors: The family's own arrays.
        strong: Models that stand for strong.
        weak: Likewise for weak.
        embedder: Gives the vectors; families that read texts need none.
        model_folder: The network of a family that is one.
        settings: As the manifest has them; only families that read texts look at them.
        device: Where a network runs, see `routecast.routers.torch_device`; None picks.
        endpoint: What a router asks that asks one, as the user named it.

    Raises:
        ArtifactError: If the family is unknown, or a tensor or the model is missing or damaged.
        ConfigError: If a bound model is not among the artifact's models, there is no such device,
            or the family needs an embedder or an endpoint and none is given.
        MissingExtraError: If the family needs an extra that is not installed.
    """
    if family in _VECTOR_FAMILIES:
        if embedder is None:
            raise ConfigError(f"a router of the family {family!r} needs its embedder; give one")
        trained = _VECTOR_FAMILIES[family].from_tensors(tensors)
        return trained.bind(strong=strong, weak=weak, embedder=embedder)
    if family in _TEXT_HOMES:
        stored = StoredModel(
            tensors=tensors,
            settings=settings or {},
            strong=strong,
            weak=weak,
            model_folder=model_folder,
            device=device,
            endpoint=endpoint,
        )
        router: Router = import_module(_TEXT_HOMES[family]).rebuild(stored)
        return router
    raise ArtifactError(
        f"unknown router family {family!r}; this version knows {list(TRAINED_FAMILIES)!r}"
    )
