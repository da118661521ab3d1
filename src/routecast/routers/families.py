"""The table of router families: one record each, read by serving, training and the commands."""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

from routecast.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class FamilyRecord:
    """Places where a family is defined, each named ``module:name`` and imported on first use.

    Attributes:
        serving: What rebuilds a stored router: for a family that reads vectors its class, with
            ``from_tensors`` and ``bind``; otherwise a function that takes a `StoredModel`.
        training: Its `routecast.train.registry.Family`.
        reads_vectors: Whether it scores vectors, and so needs its embedder; others read texts.
    """

    serving: str
    training: str
    reads_vectors: bool = False

    def load_serving(self) -> Any:  # noqa: ANN401 (a class or a function, see above)
        """Import what rebuilds a stored router."""
        return _load(self.serving)

    def load_training(self) -> Any:  # noqa: ANN401 (of a layer above this one)
        """Import what trains a router."""
        return _load(self.training)


FAMILIES: Final[dict[str, FamilyRecord]] = {
    "bert": FamilyRecord(
        serving="routecast.routers.bert:rebuild",
        training="routecast.train.bert_family:FAMILY",
    ),
    "blend": FamilyRecord(
        serving="routecast.routers.blend:Blend",
        training="routecast.train.blend:FAMILY",
        reads_vectors=True,
    ),
    "causal": FamilyRecord(
        serving="routecast.routers.causal:rebuild",
        training="routecast.train.causal_family:FAMILY",
    ),
    "causal-endpoint": FamilyRecord(
        serving="routecast.routers.causal_endpoint:rebuild",
        training="routecast.train.causal_endpoint_family:FAMILY",
    ),
    "mf": FamilyRecord(
        serving="routecast.routers.mf:MatrixFactorization",
        training="routecast.train.mf_family:FAMILY",
        reads_vectors=True,
    ),
    "ridge": FamilyRecord(
        serving="routecast.routers.ridge:Ridge",
        training="routecast.train.ridge:FAMILY",
        reads_vectors=True,
    ),
    "sw": FamilyRecord(
        serving="routecast.routers.sw:SimilarityWeighted",
        training="routecast.train.sw_family:FAMILY",
        reads_vectors=True,
    ),
}
"""Routers that are trained, by the names that users write."""


def family_names() -> tuple[str, ...]:
    """Return the names of all families, sorted."""
    return tuple(sorted(FAMILIES))


def find_record(name: str) -> FamilyRecord:
    """Return a family's record by name.

    Raises:
        ConfigError: If no family has this name; the message lists those that exist.
    """
    if name not in FAMILIES:
        nearest = get_close_matches(name, family_names(), n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise ConfigError(f"unknown router {name!r}; {hint}choose one of {list(family_names())!r}")
    return FAMILIES[name]


def reads_vectors(family: str) -> bool:
    """Return whether a family scores vectors, and so needs its embedder."""
    return family in FAMILIES and FAMILIES[family].reads_vectors


def _load(place: str) -> Any:  # noqa: ANN401 (whatever a record names)
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
