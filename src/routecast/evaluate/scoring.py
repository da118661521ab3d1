"""The routers of an evaluation, and their scores: from the cache where they are known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

import routecast
from routecast.artifacts import MANIFEST_NAME, load_artifact, load_router, router_folder
from routecast.data.leakage import prompt_hashes64
from routecast.embed.protocol import Embedder
from routecast.errors import DataError
from routecast.evaluate.score_cache import ScoreCache, entry_key, prompts_digest
from routecast.routers.protocol import Router
from routecast.routers.registry import BASELINES
from routecast.types import FloatArray
from routecast.upstream.endpoint import Endpoint

Watch = Callable[[str, int, int], None]
"""Called with what is being done (a router's name, say), how much of it is done, and how much there
is to do, 0 where nobody knows."""

STATIC = "static"
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class RouterScores:
    """What one router says of the prompts.

    Attributes:
        name: As the user named it.
        win_probabilities: Per prompt, shape (n_prompts,), NaN where the router abstains.
        is_probability: Whether they are calibrated, and not only an order.
        n_overlap: Prompts that were in the router's training data.
        strong: Models that stood for strong there; none where nothing was trained.
        weak: Likewise for weak.
    """

    name: str
    win_probabilities: FloatArray
    is_probability: bool
    n_overlap: int = 0
    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()

    @property
    def abstained(self) -> npt.NDArray[np.bool_]:
        """Where the router gave nothing, shape (n_prompts,)."""
        return np.isnan(self.win_probabilities)


def score_prompts(
    routers: Mapping[str, str],
    prompts: Sequence[str],
    *,
    cache: ScoreCache | None = None,
    embedders: Sequence[Embedder] = (),
    endpoint: Endpoint | None = None,
    device: str | None = None,
    allow_overlap: bool = False,
    watch: Watch | None = None,
) -> tuple[RouterScores, ...]:
    """Score the prompts with every router, once all are known to be usable.

    Args:
        routers: Name or folder of each router, by the name that results are to show.
        prompts: What to score.
        cache: Where scores of trained routers are kept; None keeps none.
        embedders: Those that the routers were trained on, in any order; ``static`` is at hand.
        endpoint: What routers ask that ask one.
        device: Where routers that are neural networks run; None picks.
        allow_overlap: Score even with a router that was trained on some of the prompts.
        watch: Called as the scoring goes on.

    Raises:
        ConfigError: If there is no such router.
        ArtifactError: If a router is damaged.
        DataError: If a router was trained on some of the prompts, unless that is allowed.
    """
    overlaps, sides = {}, {}
    hashes = prompt_hashes64(prompts)
    for name, router in routers.items():
        overlaps[name], sides[name] = _training(router, hashes)
        if overlaps[name] and not allow_overlap:
            raise DataError(
                f"router {name!r} was trained on {overlaps[name]:,} of these {len(prompts):,} "
                "prompts, so its figures would be too good; evaluate on other prompts, train "
                "again without them, or go on all the same with --allow-overlap"
            )
    digest = prompts_digest(prompts)
    return tuple(
        RouterScores(
            name=name,
            win_probabilities=_scores(
                router,
                prompts,
                digest,
                cache=cache,
                load=partial(_load, embedders=embedders, endpoint=endpoint, device=device),
                watch=_named(watch, name),
            ),
            is_probability=router not in BASELINES,
            n_overlap=overlaps[name],
            strong=sides[name][0],
            weak=sides[name][1],
        )
        for name, router in routers.items()
    )


def load_routers(
    routers: Mapping[str, str],
    *,
    embedders: Sequence[Embedder] = (),
    endpoint: Endpoint | None = None,
    device: str | None = None,
) -> Iterator[tuple[str, Router]]:
    """Load routers one after the other, by the names that results are to show.

    Args:
        routers: See `score_prompts`, as the others.
        embedders: Likewise.
        endpoint: Likewise.
        device: Likewise.

    Yields:
        The name and the router.
    """
    for name, router in routers.items():
        yield name, _load(router, embedders=embedders, endpoint=endpoint, device=device)


def _training(
    router: str, prompt_hashes: npt.NDArray[np.uint64]
) -> tuple[int, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return how many of the prompts a router was trained on, and its strong and weak models."""
    folder = _artifact_folder(router)
    if folder is None:
        return 0, ((), ())
    artifact = load_artifact(folder)
    n_overlap = int(np.isin(prompt_hashes, artifact.training_prompt_hashes).sum())
    return n_overlap, (tuple(artifact.manifest.strong), tuple(artifact.manifest.weak))


def _artifact_folder(router: str) -> Path | None:
    """Return the folder of a trained router, None of one that needs no training."""
    return None if router in BASELINES else router_folder(router)


def _named(watch: Watch | None, name: str) -> Callable[[int, int], None]:
    """Return what to call with the progress of one router."""

    def tell(n_done: int, n_prompts: int) -> None:
        if watch is not None:
            watch(name, n_done, n_prompts)

    return tell


def _scores(
    router: str,
    prompts: Sequence[str],
    digest: str,
    *,
    cache: ScoreCache | None,
    load: Callable[[str], Router],
    watch: Callable[[int, int], None],
) -> FloatArray:
    """Return scores from the cache, or else compute and keep them."""
    folder = _artifact_folder(router)
    if cache is None or folder is None:
        return _computed(load(router), prompts, watch)
    key = entry_key(
        artifact_digest=sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest(),
        prompts_digest=digest,
        version=routecast.__version__,
    )
    scores = cache.load(key, n_prompts=len(prompts))
    if scores is None:
        scores = _computed(load(router), prompts, watch)
        cache.store(key, scores)
    else:
        watch(len(prompts), len(prompts))
    return scores


def _load(
    router: str,
    *,
    embedders: Sequence[Embedder],
    endpoint: Endpoint | None,
    device: str | None,
) -> Router:
    """Load a router with that one of the embedders that it was trained on."""
    folder = _artifact_folder(router)
    embedder = None
    if folder is not None and embedders:
        pinned = load_artifact(folder).manifest.embedder
        fitting = [one for one in embedders if one.identity.gives_vectors_of(pinned)]
        if pinned.name != STATIC:
            embedder = (*fitting, *embedders)[0]  # one that does not fit is refused by name
    return load_router(router, embedder=embedder, device=device, endpoint=endpoint).router


def _computed(
    router: Router, prompts: Sequence[str], watch: Callable[[int, int], None]
) -> FloatArray:
    scores = np.empty(len(prompts))
    for start in range(0, len(prompts), _ROWS_AT_ONCE):
        watch(start, len(prompts))
        block = prompts[start : start + _ROWS_AT_ONCE]
        scores[start : start + len(block)] = router.win_probabilities(block)
    watch(len(prompts), len(prompts))
    return scores
