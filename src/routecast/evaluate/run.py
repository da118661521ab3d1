"""An evaluation from end to end: a benchmark and routers in, a study out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from routecast.data.outcomes import PairOutcomes, swap_warning
from routecast.data.reading import Dropped
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.embed.static import load_static
from routecast.errors import ConfigError
from routecast.evaluate.baselines import ALWAYS_STRONG, ALWAYS_WEAK, RANDOM
from routecast.evaluate.benchmarks import Benchmark
from routecast.evaluate.costs import PairCosts, pair_costs
from routecast.evaluate.figures import StudyFigures, study_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.intervals import N_RESAMPLES
from routecast.evaluate.metrics import oracle_scores
from routecast.evaluate.own_labels import MIN_PROMPTS, own_label_ranks
from routecast.evaluate.robustness import measure_robustness
from routecast.evaluate.score_cache import ScoreCache, prompts_digest
from routecast.evaluate.scoring import RouterScores, Watch, load_routers, score_prompts
from routecast.evaluate.study import Robustness, RouterStudy, Study, SubsetStudy
from routecast.evaluate.subsets import subset_studies
from routecast.policy.abstaining import (
    DEFAULT_ON_ROUTER_ERROR,
    OnRouterError,
    routed_scores,
)
from routecast.routers.length import LengthRouter
from routecast.routers.protocol import Router
from routecast.routers.registry import BASELINES
from routecast.types import FloatArray
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.prices import Price

LENGTH = "length"
ORACLE = "oracle"
OWN_LABELS = "ridge-own-labels"
INTERVALS, PARTS = "intervals", "parts"
"""What `Watch` is told while resamples are drawn, of all prompts and of groups."""

_RESERVED = (RANDOM, LENGTH, ORACLE, OWN_LABELS, ALWAYS_STRONG, ALWAYS_WEAK)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How to evaluate.

    Attributes:
        strong_price: Price of the strong model, where outcomes hold tokens.
        weak_price: Price of the weak model.
        allow_overlap: Go on with routers that were trained on some of the prompts.
        on_router_error: Who answers prompts on which a router abstains.
        with_robustness: Whether to measure what changed and added text does to decisions.
        n_resamples: Resamples behind every interval.
        seed: Of resamples and folds.
    """

    strong_price: Price | None = None
    weak_price: Price | None = None
    allow_overlap: bool = False
    on_router_error: OnRouterError = DEFAULT_ON_ROUTER_ERROR
    with_robustness: bool = False
    n_resamples: int = N_RESAMPLES
    seed: int = 0


def evaluate_routers(
    benchmark: Benchmark,
    routers: Mapping[str, str],
    *,
    settings: EvaluationSettings | None = None,
    cache: ScoreCache | None = None,
    embedders: Sequence[Embedder] = (),
    endpoint: Endpoint | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> Study:
    """Evaluate routers on a benchmark, beside the baselines.

    Args:
        benchmark: The outcomes.
        routers: Name or folder of each router, by the name that results are to show. ``random``
            and ``length`` are among the baselines anyway.
        settings: How to evaluate.
        cache: Where the scores of trained routers are kept; None keeps none.
        embedders: Those that the routers were trained on, in any order; ``static`` is at hand.
        endpoint: What routers ask that ask one.
        device: Where routers that are neural networks run; None picks.
        watch: Called as the scoring goes on.

    Returns:
        The study: the routers in the order given, then the baselines.

    Raises:
        ConfigError: If a router does not exist, or has the name of a baseline.
        ArtifactError: If a router is damaged.
        DataError: If a model is unknown, no row has both qualities, prices cannot be used, or a
            router was trained on some of the prompts and that is not allowed.
    """
    settings = settings or EvaluationSettings()
    asked = {name: router for name, router in routers.items() if router not in BASELINES}
    _refuse_reserved(asked)
    pair = benchmark.pair
    costs = pair_costs(pair, strong_price=settings.strong_price, weak_price=settings.weak_price)
    scored = score_prompts(
        asked,
        pair.prompts,
        cache=cache,
        embedders=embedders,
        endpoint=endpoint,
        device=device,
        allow_overlap=settings.allow_overlap,
        watch=watch,
    )
    field, warnings = _field(scored, pair, settings, watch)
    if watch is not None:
        watch(INTERVALS, 0, 0)
    figures = _figures(field, pair, costs, settings)
    if watch is not None:
        watch(INTERVALS, 1, 1)
    groups = _groups(pair)
    loaded = load_routers(
        {**asked, LENGTH: LENGTH, RANDOM: RANDOM} if settings.with_robustness else {},
        embedders=embedders,
        endpoint=endpoint,
        device=device,
    )
    return Study(
        benchmark=benchmark.name,
        strong=benchmark.strong,
        weak=benchmark.weak,
        quality_range=pair.outcomes.quality_range,
        prompts=tuple(pair.prompts),
        groups=None if groups is None else tuple("" if g is None else g for g in groups),
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        weak_cost_usd=costs.weak_usd,
        strong_cost_usd=costs.strong_usd,
        routers=_router_studies(field, figures),
        on_router_error=settings.on_router_error,
        differences=figures.differences,
        warnings=(
            *_swapped(benchmark, pair),
            *_left_out(benchmark, pair),
            *warnings,
            *costs.warnings,
            *figures.warnings,
        ),
        subsets=_subsets(field, groups, pair, benchmark, settings, watch),
        n_resamples=settings.n_resamples,
        data_digest=_data_digest(pair),
        robustness=_robustness(loaded, pair.prompts, settings, watch),
    )


def _robustness(
    loaded: Iterable[tuple[str, Router]],
    prompts: Sequence[str],
    settings: EvaluationSettings,
    watch: Watch | None,
) -> tuple[Robustness, ...]:
    words = load_static().whole_words() if settings.with_robustness else ()
    return tuple(
        measure_robustness(
            name,
            router.win_probabilities,
            prompts,
            words=words,
            on_router_error=settings.on_router_error,
            seed=settings.seed,
            watch=None if watch is None else partial(watch, f"robustness of {name}"),
        )
        for name, router in loaded
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Entry:
    """Scores of one line of the table, none NaN."""

    scores: FloatArray
    is_probability: bool
    is_baseline: bool
    source: RouterScores | None = None
    fixed: FixedBlock | None = None


def _refuse_reserved(routers: Mapping[str, str]) -> None:
    for name in routers:
        if name in _RESERVED:
            raise ConfigError(
                f"{name!r} is a baseline, and every evaluation holds all of them: "
                f"{list(_RESERVED)!r}; name trained routers only"
            )


def _field(
    scored: Sequence[RouterScores],
    pair: PairOutcomes,
    settings: EvaluationSettings,
    watch: Watch | None,
) -> tuple[dict[str, _Entry], list[str]]:
    """Return everything that has scores, the asked routers first, and what is to be said of it."""
    field, warnings = {}, []
    n_prompts = len(pair)
    for router in scored:
        n_abstained = int(router.abstained.sum())
        if n_abstained:
            warnings.append(
                f"{router.name} gave no score to {n_abstained:,} of {n_prompts:,} prompts; every "
                f"figure counts them as {settings.on_router_error} calls, as on_router_error = "
                f"{settings.on_router_error!r} routes them, and win probabilities are judged on "
                f"the {n_prompts - n_abstained:,} others ({1 - n_abstained / n_prompts:.1%})"
            )
        if pair.strong in router.weak and pair.weak in router.strong:
            warnings.append(
                f"{router.name} learned when {pair.weak!r} is worth it, and here the strong model "
                f"is {pair.strong!r}: name the pair as it was trained, with --strong and --weak"
            )
        if router.n_overlap:
            warnings.append(
                f"{router.name} was trained on {router.n_overlap:,} of these {n_prompts:,} prompts "
                "(--allow-overlap): its figures are too good"
            )
        field[router.name] = _Entry(
            scores=routed_scores(router.win_probabilities, settings.on_router_error),
            is_probability=router.is_probability and n_abstained < n_prompts,
            is_baseline=False,
            source=router,
            fixed=FixedBlock(router.abstained, settings.on_router_error) if n_abstained else None,
        )
    by_length = LengthRouter().win_probabilities(pair.prompts)
    field[LENGTH] = _Entry(scores=by_length, is_probability=False, is_baseline=True)
    best = oracle_scores(weak_quality=pair.weak_quality, strong_quality=pair.strong_quality)
    field[ORACLE] = _Entry(scores=best, is_probability=False, is_baseline=True)
    if len(set(pair.prompts)) < MIN_PROMPTS:
        warnings.append(f"no {OWN_LABELS}: it takes {MIN_PROMPTS} different prompts")
    else:
        field[OWN_LABELS] = _own_labels(pair, seed=settings.seed, watch=watch)
    return field, warnings


def _own_labels(pair: PairOutcomes, *, seed: int, watch: Watch | None) -> _Entry:
    if watch is not None:
        watch(OWN_LABELS, 0, len(pair))
    ranks = own_label_ranks(pair.prompts, pair.gap, load_embedder("static"), seed=seed)
    if watch is not None:
        watch(OWN_LABELS, len(pair), len(pair))
    return _Entry(scores=ranks, is_probability=False, is_baseline=True)


def _figures(
    field: Mapping[str, _Entry],
    pair: PairOutcomes,
    costs: PairCosts,
    settings: EvaluationSettings,
) -> StudyFigures:
    asked = [name for name, entry in field.items() if not entry.is_baseline]
    between = [(one, other) for i, one in enumerate(asked) for other in asked[i + 1 :]]
    to_chance = [(name, other) for name in asked for other in (LENGTH, RANDOM)]
    return study_figures(
        {name: entry.scores for name, entry in field.items()},
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        weak_cost_usd=costs.weak_usd,
        strong_cost_usd=costs.strong_usd,
        group_codes=pair.group_codes,
        probabilities=[name for name, entry in field.items() if entry.is_probability],
        fixed=_fixed_blocks(field),
        compare=[*between, *to_chance],
        n_resamples=settings.n_resamples,
        seed=settings.seed,
    )


def _fixed_blocks(field: Mapping[str, _Entry]) -> dict[str, FixedBlock]:
    """Return the prompts without a score, by router that has such."""
    return {name: entry.fixed for name, entry in field.items() if entry.fixed is not None}


def _router_studies(field: Mapping[str, _Entry], figures: StudyFigures) -> tuple[RouterStudy, ...]:
    """Put the lines of the table in their order, the exact baselines last."""
    scored = [
        RouterStudy(
            name=name,
            is_baseline=entry.is_baseline,
            scores=entry.scores,
            is_probability=entry.is_probability,
            metrics=figures.metrics[name],
            band=figures.bands[name],
            fixed=entry.fixed,
            n_overlap=0 if entry.source is None else entry.source.n_overlap,
        )
        for name, entry in field.items()
    ]
    exact = [
        RouterStudy(
            name=name,
            is_baseline=True,
            scores=None,
            is_probability=False,
            metrics=metrics,
            band=None,
        )
        for name, metrics in figures.baselines.items()
    ]
    return (*scored, *exact)


def _groups(pair: PairOutcomes) -> list[str | None] | None:
    if "group" not in pair.outcomes.table.columns:
        return None
    column = pair.outcomes.table["group"].to_list()
    return [None if group is None else str(group) for group in column]


def _subsets(
    field: Mapping[str, _Entry],
    groups: Sequence[str | None] | None,
    pair: PairOutcomes,
    benchmark: Benchmark,
    settings: EvaluationSettings,
    watch: Watch | None,
) -> tuple[SubsetStudy, ...]:
    if groups is None:
        return ()
    return subset_studies(
        {name: entry.scores for name, entry in field.items()},
        groups,
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        fixed=_fixed_blocks(field),
        categories=benchmark.categories,
        seed=settings.seed,
        watch=None if watch is None else partial(watch, PARTS),
    )


def _swapped(benchmark: Benchmark, pair: PairOutcomes) -> list[str]:
    warning = swap_warning(
        strong=benchmark.strong,
        weak=benchmark.weak,
        strong_quality=float(pair.strong_quality.mean()),
        weak_quality=float(pair.weak_quality.mean()),
    )
    return [] if warning is None else [warning]


def _left_out(benchmark: Benchmark, pair: PairOutcomes) -> list[str]:
    """Say what was left out, and when there is nothing to recover."""
    entries = list(benchmark.dropped)
    if n_unknown := len(benchmark.outcomes) - len(pair):
        entries.append(Dropped(reason="quality of one of the two unknown", n_rows=n_unknown))
    return [f"left out, {entry.reason}: {entry.n_rows:,} rows" for entry in entries]


def _data_digest(pair: PairOutcomes) -> str:
    digest = sha256(prompts_digest(pair.prompts).encode())
    for quality in (pair.weak_quality, pair.strong_quality):
        digest.update(quality.astype("<f8").tobytes())
    return digest.hexdigest()
