"""The routers of an evaluation, and their scores: from the cache where they are known."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

import routecast
from routecast.artifacts import MANIFEST_NAME, load_artifact, load_router, router_folder
from routecast.data.leakage import prompt_hashes64
from routecast.errors import DataError
from routecast.evaluate.score_cache import ScoreCache, entry_key, prompts_digest
from routecast.routers.registry import BASELINES
from routecast.types import FloatArray

Watch = Callable[[str, int, int], None]
"""Called with a router's name, the prompts scored so far, and how many there are."""

_ROWS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class RouterScores:
    """What one router says of the prompts.

    Attributes:
        name: As the user named it.
        win_probabilities: Per prompt, shape (n_prompts,), NaN where the router abstains.
        is_probability: Whether they are calibrated, and not only an order.
        n_overlap: Prompts that were in the router's training data.
    """

    name: str
    win_probabilities: FloatArray
    is_probability: bool
    n_overlap: int = 0

    @property
    def abstained(self) -> npt.NDArray[np.bool_]:
        """Where the router gave nothing, shape (n_prompts,)."""
        return np.isnan(self.win_probabilities)


def score_prompts(
    routers: Mapping[str, str],
    prompts: Sequence[str],
    *,
    cache: ScoreCache | None = None,
    allow_overlap: bool = False,
    watch: Watch | None = None,
) -> tuple[RouterScores, ...]:
    """Score the prompts with every router, once all are known to be usable.

    Args:
        routers: Name or folder of each router, by the name that results are to show.
        prompts: What to score.
        cache: Where scores of trained routers are kept; None keeps none.
        allow_overlap: Score even with a router that was trained on some of the prompts.
        watch: Called as the scoring goes on.

    Raises:
        ConfigError: If there is no such router.
        ArtifactError: If a router is damaged.
        DataError: If a router was trained on some of the prompts, unless that is allowed.
    """
    overlaps = {}
    hashes = prompt_hashes64(prompts)
    for name, router in routers.items():
        overlaps[name] = _count_overlap(router, hashes)
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
            win_probabilities=_scores(name, router, prompts, digest, cache=cache, watch=watch),
            is_probability=router not in BASELINES,
            n_overlap=overlaps[name],
        )
        for name, router in routers.items()
    )


def _count_overlap(router: str, prompt_hashes: npt.NDArray[np.uint64]) -> int:
    folder = _artifact_folder(router)
    if folder is None:
        return 0
    return int(np.isin(prompt_hashes, load_artifact(folder).training_prompt_hashes).sum())


def _artifact_folder(router: str) -> Path | None:
    """Return the folder of a trained router, None of one that needs no training."""
    return None if router in BASELINES else router_folder(router)


def _scores(
    name: str,
    router: str,
    prompts: Sequence[str],
    digest: str,
    *,
    cache: ScoreCache | None,
    watch: Watch | None,
) -> FloatArray:
    folder = _artifact_folder(router)
    if cache is None or folder is None:
        return _computed(name, router, prompts, watch)
    manifest_digest = sha256((folder / MANIFEST_NAME).read_bytes()).hexdigest()
    key = entry_key(
        artifact_digest=manifest_digest, prompts_digest=digest, version=routecast.__version__
    )
    kept = cache.load(key, n_prompts=len(prompts))
    if kept is None:
        kept = _computed(name, router, prompts, watch)
        cache.store(key, kept)
    return kept


def _computed(name: str, router: str, prompts: Sequence[str], watch: Watch | None) -> FloatArray:
    loaded = load_router(router)
    scores = np.empty(len(prompts))
    for start in range(0, len(prompts), _ROWS_AT_ONCE):
        block = prompts[start : start + _ROWS_AT_ONCE]
        scores[start : start + len(block)] = loaded.router.win_probabilities(block)
        if watch is not None:
            watch(name, start + len(block), len(prompts))
    return scores
