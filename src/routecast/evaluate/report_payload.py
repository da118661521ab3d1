"""What the script of a report draws from, as JSON that is safe inside HTML."""

import json
import math
from typing import Any

from routecast.evaluate.curve import models_tie
from routecast.evaluate.reliability import reliability_curve
from routecast.evaluate.report_format import quality_digits
from routecast.evaluate.report_headline import Headline
from routecast.evaluate.report_losses import Losses, counts_along, losses_of
from routecast.evaluate.report_series import (
    Cuts,
    cuts_of,
    has_costs,
    probabilities_of,
    usd_digits,
    win_histogram,
)
from routecast.evaluate.study import CurveBand, RouterStudy, Study
from routecast.types import AnyArray

MAX_PROMPT_CHARS = 500


def payload_json(study: Study, headline: Headline, *, with_prompts: bool) -> str:
    """Return the data of a report's script.

    Only ASCII, and no ``<``, ``>`` or ``&``: whatever a prompt holds, it cannot end the element
    that this stands in. NaN and infinity become null.
    """
    text = json.dumps(_payload(study, headline, with_prompts), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _payload(study: Study, headline: Headline, with_prompts: bool) -> dict[str, Any]:
    weak, strong = float(study.weak_quality.mean()), float(study.strong_quality.mean())
    shown: dict[int, None] = {}  # rows of the prompts that some list shows, in order
    routers = [_router(router, study, shown) for router in study.routers if _drawn(router)]
    return {
        "n": len(study.prompts),
        "strong": study.strong,
        "weak": study.weak,
        "strong_quality": strong,
        "weak_quality": weak,
        "models_tie": models_tie(weak=weak, strong=strong),
        "quality_digits": quality_digits(study.quality_range),
        "usd": _usd_ends(study),
        "routers": routers,
        "losers": [_loser(row, study, with_prompts) for row in shown],
        "start": {"router": headline.router, "strong_share": headline.strong_share},
    }


def _drawn(router: RouterStudy) -> bool:
    return router.scores is not None


def _usd_ends(study: Study) -> dict[str, float] | None:
    if not has_costs(study) or study.weak_cost_usd is None or study.strong_cost_usd is None:
        return None
    weak, strong = float(study.weak_cost_usd.mean()), float(study.strong_cost_usd.mean())
    return {"weak": weak, "strong": strong, "digits": usd_digits(study)}


def _router(router: RouterStudy, study: Study, shown: dict[int, None]) -> dict[str, Any]:
    if router.scores is None:
        raise ValueError(f"router {router.name!r} has no scores; only scored ones are drawn")
    cuts = cuts_of(router, study)
    losses = losses_of(router.scores, study)
    for row in (*losses.missed.tolist(), *losses.wasted.tolist()):
        shown.setdefault(row)
    place = {row: number for number, row in enumerate(shown)}
    return {
        "name": router.name,
        "baseline": router.is_baseline,
        "probability": router.is_probability,
        "cuts": _cuts(cuts),
        "reachable": list(cuts.reachable),
        "n_abstained": router.n_abstained,
        "band": _band(router.band),
        "losses": _losses(losses, cuts, study, router, place),
        **_win_probabilities(router, study),
    }


def _cuts(cuts: Cuts) -> dict[str, Any]:
    return {
        "n_strong": cuts.n_strong.tolist(),
        "threshold": _numbers(cuts.threshold),
        "quality": _numbers(cuts.quality),
        "cost_usd": None if cuts.cost_usd is None else _numbers(cuts.cost_usd),
    }


def _band(band: CurveBand | None) -> dict[str, Any] | None:
    if band is None:
        return None
    return {
        "strong_share": _numbers(band.strong_share),
        "low": _numbers(band.low),
        "high": _numbers(band.high),
        "gain_low": _numbers(band.gain_low),
        "gain_high": _numbers(band.gain_high),
    }


def _losses(
    losses: Losses, cuts: Cuts, study: Study, router: RouterStudy, place: dict[int, int]
) -> dict[str, Any]:
    n_missed, n_wasted = counts_along(losses, study, cuts.n_strong)
    scores = router.scores
    if scores is None:
        raise ValueError(f"router {router.name!r} has no scores; only scored ones are drawn")

    def score_of(row: int) -> float | None:
        without = router.fixed is not None and bool(router.fixed.rows[row])
        return None if without else _number(scores[row])

    def entries(rows: AnyArray) -> list[list[float | None]]:
        return [[place[row], int(losses.sent_from[row]), score_of(row)] for row in rows]

    return {
        "missed": entries(losses.missed),
        "wasted": entries(losses.wasted),
        "n_missed": n_missed.tolist(),
        "n_wasted": n_wasted.tolist(),
    }


def _win_probabilities(router: RouterStudy, study: Study) -> dict[str, Any]:
    scored = probabilities_of(router, study)
    if scored is None:
        return {"reliability": None, "histogram": None}
    curve, histogram = reliability_curve(*scored), win_histogram(*scored)
    return {
        "reliability": {
            "mean_probability": _numbers(curve.mean_probability),
            "win_share": _numbers(curve.win_share),
            "low": _numbers(curve.low),
            "high": _numbers(curve.high),
            "n": curve.n_prompts.tolist(),
        },
        "histogram": {
            "low": histogram.low,
            "high": histogram.high,
            "wins": histogram.wins.tolist(),
            "ties": histogram.ties.tolist(),
            "losses": histogram.losses.tolist(),
        },
    }


def _loser(row: int, study: Study, with_prompts: bool) -> dict[str, Any]:
    prompt = study.prompts[row] if with_prompts else None
    return {
        "row": row + 1,
        "prompt": None if prompt is None else prompt[:MAX_PROMPT_CHARS],
        "n_cut": 0 if prompt is None else max(len(prompt) - MAX_PROMPT_CHARS, 0),
        "group": None if study.groups is None else study.groups[row],
        "weak": float(study.weak_quality[row]),
        "strong": float(study.strong_quality[row]),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: AnyArray) -> list[float | None]:
    return [_number(value) for value in values.tolist()]
