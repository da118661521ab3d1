"""A few-label router's parts as the arrays that an artifact stores, and back."""

from collections.abc import Mapping

import numpy as np

from routecast.errors import ArtifactError
from routecast.routers.blend_kernel import PromptViews, Scales, SurfaceScale
from routecast.routers.blend_shapes import N_SHAPE_SLOTS
from routecast.routers.blend_terms import TermRows, TermScale
from routecast.routers.blend_topics import Topics
from routecast.routers.blend_words import N_WORD_SLOTS
from routecast.routers.surface import SURFACE_NAMES
from routecast.types import AnyArray

_NAMES = (
    *("embeddings", "surfaces", "surface_means", "surface_deviations"),
    *("topic_mean", "topic_centroids", "topic_sizes"),
    *(
        f"{kind}_{part}"
        for kind in ("word", "shape")
        for part in ("rarities", "ends", "slots", "values")
    ),
)


def format_parts(centres: PromptViews, scales: Scales) -> dict[str, AnyArray]:
    """Return the arrays of the centres and of what prompts are measured against, by name."""
    topics = scales.topics
    tensors: dict[str, AnyArray] = {
        "embeddings": centres.embeddings.astype(np.float32),
        "surfaces": centres.surfaces.astype(np.float32),
        "surface_means": scales.surface.means,
        "surface_deviations": scales.surface.deviations,
        "topic_mean": topics.mean,
        "topic_centroids": topics.centroids,
        "topic_sizes": topics.sizes,
    }
    for kind, terms, rows in (
        ("word", scales.words, centres.words),
        ("shape", scales.shapes, centres.shapes),
    ):
        tensors |= {
            f"{kind}_rarities": terms.rarities,
            f"{kind}_ends": rows.ends,
            f"{kind}_slots": rows.slots,
            f"{kind}_values": rows.values,
        }
    return tensors


def parse_parts(tensors: Mapping[str, AnyArray], *, n_centres: int) -> tuple[PromptViews, Scales]:
    """Rebuild what ``format_parts`` was given.

    Raises:
        ArtifactError: If a tensor is missing, or their shapes do not fit together.
    """
    require_tensors(tensors, _NAMES)
    _check_shapes(tensors, n_centres)
    topics = Topics(
        mean=tensors["topic_mean"].astype(np.float32),
        centroids=tensors["topic_centroids"].astype(np.float32),
        sizes=tensors["topic_sizes"].astype(np.int64),
    )
    embeddings = tensors["embeddings"].astype(np.float32)
    centres = PromptViews(
        embeddings=embeddings,
        topics=topics.apply(embeddings),
        words=_rows(tensors, "word", N_WORD_SLOTS),
        surfaces=tensors["surfaces"].astype(np.float64),
        shapes=_rows(tensors, "shape", N_SHAPE_SLOTS),
    )
    surface = SurfaceScale(
        tensors["surface_means"].astype(np.float64),
        tensors["surface_deviations"].astype(np.float64),
    )
    words, shapes = (
        TermScale(tensors[f"{kind}_rarities"].astype(np.float64)) for kind in ("word", "shape")
    )
    return centres, Scales(surface, topics, words, shapes)


def require_tensors(tensors: Mapping[str, AnyArray], names: tuple[str, ...]) -> None:
    """Refuse an artifact that lacks some.

    Raises:
        ArtifactError: Naming them.
    """
    missing = sorted(set(names) - tensors.keys())
    if missing:
        raise ArtifactError(
            f"a blend router needs the tensors {missing!r}, which are missing; train it again"
        )


def check_tensor_shapes(
    tensors: Mapping[str, AnyArray], expected: Mapping[str, tuple[int, ...]], *, n_centres: int
) -> None:
    """Refuse tensors that do not fit together.

    Raises:
        ArtifactError: With the shapes found and expected.
    """
    shapes = {name: tensors[name].shape for name in expected}
    if shapes != expected:
        raise ArtifactError(
            f"the tensors of a blend router have the shapes {shapes!r}, and {n_centres} centres "
            f"need {dict(expected)!r}; train it again"
        )


def _check_shapes(tensors: Mapping[str, AnyArray], n_centres: int) -> None:
    n_features, dimensions = len(SURFACE_NAMES), tensors["embeddings"].shape[1:2]
    sizes = tensors["topic_sizes"]
    expected: dict[str, tuple[int, ...]] = {
        "embeddings": (n_centres, *dimensions),
        "surfaces": (n_centres, n_features),
        "surface_means": (n_features,),
        "surface_deviations": (n_features,),
        "topic_mean": dimensions,
        "topic_centroids": (int(sizes.sum()), *dimensions),
        "word_rarities": (N_WORD_SLOTS,),
        "shape_rarities": (N_SHAPE_SLOTS,),
    }
    for kind in ("word", "shape"):
        ends = tensors[f"{kind}_ends"]
        expected[f"{kind}_ends"] = (n_centres + 1,)
        n_stored = (int(ends[-1]) if ends.size else 0,)
        expected |= {f"{kind}_slots": n_stored, f"{kind}_values": n_stored}
    check_tensor_shapes(tensors, expected, n_centres=n_centres)


def _rows(tensors: Mapping[str, AnyArray], kind: str, n_slots: int) -> TermRows:
    """Return the centres' terms, and refuse positions that would be read past the end."""
    ends, slots = (tensors[f"{kind}_{part}"].astype(np.int64) for part in ("ends", "slots"))
    if ends[0] != 0 or (np.diff(ends) < 0).any() or ((slots < 0) | (slots >= n_slots)).any():
        raise ArtifactError(
            f"the {kind} slots of a blend router do not lie between 0 and {n_slots - 1} in rows "
            "that follow one another; the artifact is damaged, train it again"
        )
    return TermRows(ends, slots, tensors[f"{kind}_values"].astype(np.float32), n_slots)
