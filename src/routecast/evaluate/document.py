"""`metrics.json`: everything that an evaluation found, but for prompts and their scores."""

import math
from collections.abc import Mapping
from typing import Any

import routecast
from routecast.evaluate.study import (
    CountedShare,
    Difference,
    Figure,
    Robustness,
    RouterStudy,
    Study,
    SubsetStudy,
)
from routecast.evaluate.subsets import N_RESAMPLES
from routecast.types import FloatArray

SCHEMA = "routecast.evaluation"
SCHEMA_VERSION = 1


def study_document(study: Study) -> dict[str, Any]:
    """Return what ``metrics.json`` holds; docs/evaluation.md describes it field by field.

    Every number in it is finite: what is undefined is None.
    """
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "routecast_version": routecast.__version__,
        "benchmark": study.benchmark,
        "strong": study.strong,
        "weak": study.weak,
        "quality_range": list(study.quality_range),
        "n_prompts": len(study.prompts),
        "n_groups": None if study.groups is None else len(set(study.groups)),
        "n_resamples": study.n_resamples,
        "on_router_error": study.on_router_error,
        "data_digest": study.data_digest,
        "weak_quality": _mean(study.weak_quality),
        "strong_quality": _mean(study.strong_quality),
        "weak_cost_usd_per_1k": _per_1k(study.weak_cost_usd),
        "strong_cost_usd_per_1k": _per_1k(study.strong_cost_usd),
        "routers": [_router(router) for router in study.routers],
        "differences": [_difference(difference) for difference in study.differences],
        "n_resamples_of_subsets": N_RESAMPLES if study.subsets else None,
        "subsets": [_subset(subset) for subset in study.subsets],
        "robustness": [_robustness(one) for one in study.robustness],
        "warnings": list(study.warnings),
    }


def _router(router: RouterStudy) -> dict[str, Any]:
    return {
        "name": router.name,
        "is_baseline": router.is_baseline,
        "is_probability": router.is_probability,
        "n_abstained": router.n_abstained,
        "n_overlap": router.n_overlap,
        "metrics": _figures(router.metrics),
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {
        "router": difference.router,
        "other": difference.other,
        "metric": difference.metric,
        **_figure(difference.figure),
        "p_value": _finite(difference.p_value),
        "holm_p_value": _finite(difference.holm_p_value),
    }


def _subset(subset: SubsetStudy) -> dict[str, Any]:
    return {
        "kind": subset.kind,
        "name": subset.name,
        "n_prompts": subset.n_prompts,
        "weak_quality": _finite(subset.weak_quality),
        "strong_quality": _finite(subset.strong_quality),
        "routers": {name: _figures(metrics) for name, metrics in subset.metrics.items()},
    }


def _robustness(found: Robustness) -> dict[str, Any]:
    return {
        "router": found.router,
        "n_prompts": found.n_prompts,
        "threshold": found.threshold,
        "strong_share": _finite(found.strong_share),
        "flipped": {name: _counted(share) for name, share in found.flipped.items()},
        "lifted": {name: _counted(share) for name, share in found.lifted.items()},
        "prefix": found.prefix,
        "n_climbed": found.n_climbed,
    }


def _counted(share: CountedShare) -> dict[str, Any]:
    return {**_figure(share.figure), "n_prompts": share.n_prompts}


def _figures(metrics: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: _figure(figure) for name, figure in metrics.items()}


def _figure(figure: Figure) -> dict[str, float | None]:
    return {
        "value": _finite(figure.value),
        "low": _finite(figure.low),
        "high": _finite(figure.high),
    }


def _finite(number: float) -> float | None:
    """Return a number that JSON knows, or None: it has no NaN and no infinity."""
    return float(number) if math.isfinite(number) else None


def _mean(values: FloatArray) -> float | None:
    return _finite(float(values.mean()))


def _per_1k(costs_usd: FloatArray | None) -> float | None:
    return None if costs_usd is None else _finite(1000 * float(costs_usd.mean()))
