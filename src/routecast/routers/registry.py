"""Routers by name: baselines, and those that an artifact holds."""

from collections.abc import Mapping
from typing import Any

from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.families import FAMILIES, family_names
from routecast.routers.length import LengthRouter
from routecast.routers.model_folder import ModelFolder
from routecast.routers.protocol import Router
from routecast.routers.random import RandomRouter
from routecast.routers.stored_model import StoredModel
from routecast.types import AnyArray
from routecast.upstream.endpoint import Endpoint

BASELINES: Mapping[str, type[RandomRouter] | type[LengthRouter]] = {
    "random": RandomRouter,
    "length": LengthRouter,
}
"""Routers that need no training, by the names that users write."""


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
        family: One of `FAMILIES`.
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
    if family not in FAMILIES:
        raise ArtifactError(
            f"unknown router family {family!r}; this version knows {list(family_names())!r}"
        )
    record = FAMILIES[family]
    router: Router
    if record.reads_vectors:
        if embedder is None:
            raise ConfigError(f"a router of the family {family!r} needs its embedder; give one")
        trained = record.load_serving().from_tensors(tensors)
        router = trained.bind(strong=strong, weak=weak, embedder=embedder)
        return router
    router = record.load_serving()(
        StoredModel(
            tensors=tensors,
            settings=settings or {},
            strong=strong,
            weak=weak,
            model_folder=model_folder,
            device=device,
            endpoint=endpoint,
        )
    )
    return router
