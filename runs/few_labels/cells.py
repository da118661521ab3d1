"""One cell of the study: a pair, an embedder and a number of labels, over all splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from runs.few_labels.blend_fits import BLEND
from runs.few_labels.fits import MEMBERS, ROUTERS, KnownVectors, SplitScores, score_split
from runs.few_labels.sets import Sample

from routecast.embed.protocol import EmbedderIdentity
from routecast.evaluate.metrics import routing_metrics
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.steps import count_type
from routecast.evaluate.sweep import ResampleBlock, resample_totals, resampled_apgr, router_steps
from routecast.stats.bootstrap import CountArray, percentile_interval, resample_counts
from routecast.types import FloatArray, IntArray

MAX_EVALUATED = 4_000
"""Prompts of the rest that a split evaluates on; all where there are fewer."""

MIN_EVALUATED = 50
N_RESAMPLES = 400
N_DECIMALS = 5
"""Of what is kept; more would differ from machine to machine."""

_RESAMPLING_SEED = 20261121


@dataclass(frozen=True, kw_only=True)
class RouterFigures:
    """APGR of one router.

    Attributes:
        apgr: Of each split.
        interval: 95% interval of the mean, over draws of labels and over prompts.
        ahead: The same of the mean by which `blend` is ahead of a member; None for others.
    """

    apgr: tuple[float, ...]
    interval: tuple[float, float]
    ahead: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        """Mean over the splits."""
        return float(np.mean(self.apgr))

    @property
    def standard_error(self) -> float:
        """Of the mean, over the splits; NaN with one split."""
        if len(self.apgr) < 2:
            return float("nan")
        return float(np.std(self.apgr, ddof=1) / len(self.apgr) ** 0.5)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What came out.

    Attributes:
        set_name: Of the pair.
        title: The set and the two models.
        embedder: ``static`` or ``sentence``.
        n_labels: Rows whose labels were drawn.
        n_prompts: Rows of the set.
        n_evaluated: Fewest rows that a split was evaluated on.
        routers: Figures by router.
        calibration_errors: Of `blend`, one per split.
        abstained: Share that `blend` abstains on, one per split.
        n_refused: Splits that a family could not be fitted to, by family.
        first_seed: Of the splits, which are one after the other.
    """

    set_name: str
    title: str
    embedder: str
    n_labels: int
    n_prompts: int
    n_evaluated: int
    routers: Mapping[str, RouterFigures]
    calibration_errors: tuple[float, ...]
    abstained: tuple[float, ...]
    n_refused: Mapping[str, int]
    first_seed: int = 0

    @property
    def n_splits(self) -> int:
        """How many draws of labels the means are over."""
        return len(self.abstained)

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What tells it from other cells."""
        return self.title, self.embedder, self.n_labels, self.first_seed

    def updated(self, fresh: "Cell | None") -> "Cell":
        """Return it with those routers' figures that a later run has.

        Raises:
            ValueError: If the later run has other splits.
        """
        if fresh is None:
            return self
        if (fresh.n_splits, fresh.n_evaluated) != (self.n_splits, self.n_evaluated):
            raise ValueError(f"{self.key!r} was measured on other splits; measure everything anew")
        kept = {name: n for name, n in self.n_refused.items() if name not in fresh.routers}
        return replace(
            self,
            routers={**self.routers, **fresh.routers},
            n_refused={**kept, **fresh.n_refused},
        )


@dataclass(frozen=True)
class Split:
    """One draw of labels.

    Attributes:
        n_evaluated: Rows that it was evaluated on.
        scored: What the routers say of them.
        apgr: By router.
        resampled: The same on resamples of the set's prompts, each of shape (n_resamples,).
    """

    n_evaluated: int
    scored: SplitScores
    apgr: Mapping[str, float]
    resampled: Mapping[str, FloatArray]


def measure_splits(
    sample: Sample,
    identity: EmbedderIdentity,
    *,
    n_labels: int,
    n_splits: int,
    first_seed: int = 0,
    routers: Sequence[str] = ROUTERS,
) -> list[Split]:
    """Draw labels, fit and evaluate.

    Args:
        sample: The set.
        identity: Of the embedder that made its vectors.
        n_labels: Rows to label.
        n_splits: How many draws.
        first_seed: Of the draws, whose seeds follow one another.
        routers: Which are wanted, see `score_split`.

    Returns:
        One per draw; none where fewer than `MIN_EVALUATED` rows are left to evaluate on.
    """
    if len(sample.prompts) - n_labels < MIN_EVALUATED:
        return []
    embedder = KnownVectors.of(sample, identity)
    counts = _resample_prompts(sample)
    splits = []
    for seed in range(first_seed, first_seed + n_splits):
        labelled, rest = draw_split(sample.keys, n_labels, seed)
        scored = score_split(sample, labelled, rest, embedder=embedder, seed=seed, routers=routers)
        splits.append(_evaluate(sample, rest, scored, counts))
    return splits


def draw_split(keys: IntArray, n_labels: int, seed: int) -> tuple[IntArray, IntArray]:
    """Draw rows to label and rows to evaluate on; equal prompts are on one side.

    Args:
        keys: What tells equal prompts, whole numbers from 0, shape (n_prompts,).
        n_labels: How many rows to label, fewer than there are.
        seed: Of both draws.

    Returns:
        Positions of the labelled rows, and of at most `MAX_EVALUATED` others.
    """
    generator = np.random.default_rng(seed)
    order = np.argsort(generator.permutation(keys.max() + 1)[keys], kind="stable")
    labelled, rest = order[:n_labels], order[n_labels:]
    rest = rest[keys[rest] != keys[labelled[-1]]]
    if len(rest) > MAX_EVALUATED:
        rest = generator.choice(rest, MAX_EVALUATED, replace=False)
    return labelled, rest


def figures_of(splits: Sequence[Split]) -> dict[str, RouterFigures]:
    """Return the figures of every router that was measured, all from the same resamples."""
    means = {
        name: resampled_means(np.stack([split.resampled[name] for split in splits]))
        for name in splits[0].resampled
    }
    return {
        name: RouterFigures(
            apgr=tuple(round(split.apgr[name], N_DECIMALS) for split in splits),
            interval=_interval(means[name]),
            ahead=_interval(means[BLEND] - means[name]) if name in MEMBERS else None,
        )
        for name in means
    }


def resampled_means(values: FloatArray) -> FloatArray:
    """Return the mean over splits that are drawn anew, with replacement, for each resample.

    So that the spread of the result is that of the prompts and that of the labels together.

    Args:
        values: Of each split on each resample of the prompts, shape (n_splits, n_resamples).

    Returns:
        Shape (n_resamples,); the same splits are drawn for any values of this shape.
    """
    n_splits, n_resamples = values.shape
    generator = np.random.default_rng(_RESAMPLING_SEED)
    drawn = generator.integers(n_splits, size=(n_splits, n_resamples))
    return np.asarray(np.take_along_axis(values, drawn, axis=0).mean(axis=0))


def _resample_prompts(sample: Sample) -> CountArray:
    """Draw prompts, equal ones together: how often each key occurs, shape (n_resamples, n_keys)."""
    n_keys = int(sample.keys.max()) + 1
    blocks = resample_counts(n_keys, n_resamples=N_RESAMPLES, seed=_RESAMPLING_SEED)
    return np.concatenate(list(blocks))


def _evaluate(sample: Sample, rest: IntArray, scored: SplitScores, counts: CountArray) -> Split:
    pair = PairArrays(weak_quality=sample.weak[rest], strong_quality=sample.strong[rest])
    drawn = np.ascontiguousarray(counts[:, sample.keys[rest]].T.astype(count_type(pair.gap)))
    block = ResampleBlock(counts=drawn, totals=resample_totals(drawn, pair))
    apgr, resampled = {}, {}
    for name, scores in scored.scores.items():
        apgr[name] = routing_metrics(
            scores, weak_quality=pair.weak_quality, strong_quality=pair.strong_quality
        ).apgr
        resampled[name] = resampled_apgr(router_steps(scores, pair), block)
    return Split(len(rest), scored, apgr, resampled)


def _interval(samples: FloatArray) -> tuple[float, float]:
    ends = percentile_interval(samples)
    return round(ends.low, N_DECIMALS), round(ends.high, N_DECIMALS)
