"""What an evaluation found: routers on one set of outcomes, ready for tables and reports."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.evaluate.fixed import FixedBlock
from routecast.policy.abstaining import DEFAULT_ON_ROUTER_ERROR, OnRouterError
from routecast.types import FloatArray

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A statistic with its 95% interval.

    Attributes:
        value: On all prompts; NaN where it is undefined.
        low: Lower end of the interval; equal to ``value`` where the figure is exact.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveBand:
    """Pointwise 95% intervals along a cost-quality curve.

    Attributes:
        strong_share: Shares of strong calls, ascending from 0 to 1, shape (n_points,).
        low: Lower end of the mean quality there, in the outcomes' unit, same shape. It holds how
            good the two models are on other prompts, which is the same for every router.
        high: Upper end.
        gain_low: Lower end of what routing adds to a random choice with the same share of strong
            calls, in the outcomes' unit, same shape; 0 at both ends of the curve.
        gain_high: Upper end.
    """

    strong_share: FloatArray
    low: FloatArray
    high: FloatArray
    gain_low: FloatArray
    gain_high: FloatArray


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One router against another, on the same resamples of the prompts.

    Attributes:
        router: Name of one.
        other: Name of the other.
        metric: What was compared: ``apgr``.
        figure: The first one's metric minus the second one's.
        p_value: Two-sided, by bootstrap, in [0, 1].
        holm_p_value: The same after Holm's correction for all differences of the study.
    """

    router: str
    other: str
    metric: str
    figure: Figure
    p_value: float
    holm_p_value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class RouterStudy:
    """One router on the prompts of a study.

    Attributes:
        name: As the user named it: ``default``, a folder, ``length``.
        is_baseline: Random, length, oracle, always one model, `ridge` on the same labels.
        scores: Per prompt, shape (n_prompts,), in the order of routing: prompts without a score
            stand above or below all others. None for baselines that are exact without scores.
        is_probability: Whether the scores are win probabilities, and not only an order.
        metrics: By name: ``apgr``, ``cpt_50``, ``auroc`` ...; absent where they mean nothing.
        band: Intervals along the curve; None for exact baselines.
        fixed: The prompts without a score, which every figure counts as they are routed; None
            where there are none.
        n_overlap: Prompts that the router was trained on.
    """

    name: str
    is_baseline: bool
    scores: FloatArray | None
    is_probability: bool
    metrics: Mapping[str, Figure]
    band: CurveBand | None
    fixed: FixedBlock | None = None
    n_overlap: int = 0

    @property
    def n_abstained(self) -> int:
        """Prompts without a score."""
        return 0 if self.fixed is None else int(self.fixed.rows.sum())


@dataclass(frozen=True, kw_only=True)
class SubsetStudy:
    """The routers on a part of the prompts.

    Attributes:
        kind: ``group``, or ``category`` where groups have one.
        name: Of the group or category.
        n_prompts: How many prompts.
        weak_quality: Mean quality of the weak model, in the outcomes' unit.
        strong_quality: Mean quality of the strong model.
        metrics: By router, then by name: ``apgr``, ``cpt_50``, ``cpt_80``.
    """

    kind: str
    name: str
    n_prompts: int
    weak_quality: float
    strong_quality: float
    metrics: Mapping[str, Mapping[str, Figure]]


@dataclass(frozen=True)
class CountedShare:
    """A share of prompts with its interval, and of how many it is.

    Attributes:
        figure: In [0, 1]; NaN of no prompts.
        n_prompts: The denominator.
    """

    figure: Figure
    n_prompts: int


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """How a router's decisions change with what a prompt's sender can change at no cost.

    Attributes:
        router: Its name.
        n_prompts: Prompts of the sample.
        threshold: Where half of the unchanged sample goes to the strong model.
        strong_share: The share that does; not one half where too many prompts have no score.
        flipped: By what was changed, the share of changed prompts whose model is another.
        lifted: By what was added, the share that goes to the strong model of prompts that did not.
        prefix: The one that was found against this router, for any prompt.
        n_climbed: Texts that were scored to find it.
    """

    router: str
    n_prompts: int
    threshold: float
    strong_share: float
    flipped: Mapping[str, CountedShare]
    lifted: Mapping[str, CountedShare]
    prefix: str
    n_climbed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """Several routers on one set of outcomes.

    Attributes:
        benchmark: Name of the benchmark, or of the file.
        strong: Name of the strong model.
        weak: Name of the weak model.
        quality_range: Lowest and highest quality that the scale knows.
        prompts: In row order.
        groups: Subset or conversation of each row, or None.
        weak_quality: Per prompt, shape (n_prompts,), in the outcomes' unit.
        strong_quality: Same shape.
        weak_cost_usd: US dollars of the weak model's answer per prompt, or None if unknown.
        strong_cost_usd: Likewise; known together.
        routers: The asked ones first, then the baselines.
        differences: Between the asked routers, and of each to length and random.
        warnings: In plain words: what the figures cannot tell, what was left out.
        subsets: The same by group, and by category of groups; empty without groups.
        n_resamples: Resamples behind every interval, but for those of subsets.
        on_router_error: Who answers prompts without a score.
        data_digest: SHA-256 over the prompts and the qualities, in hexadecimal.
        robustness: Of the asked routers, then of length and random; empty where it was not asked.
    """

    benchmark: str
    strong: str
    weak: str
    quality_range: tuple[float, float]
    prompts: tuple[str, ...]
    groups: tuple[str, ...] | None
    weak_quality: FloatArray
    strong_quality: FloatArray
    weak_cost_usd: FloatArray | None
    strong_cost_usd: FloatArray | None
    routers: tuple[RouterStudy, ...]
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]
    subsets: tuple[SubsetStudy, ...] = ()
    n_resamples: int = 0
    on_router_error: OnRouterError = DEFAULT_ON_ROUTER_ERROR
    data_digest: str = ""
    robustness: tuple[Robustness, ...] = ()
