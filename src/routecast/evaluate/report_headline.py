"""What a study found, in a few sentences of plain words."""

import math
from dataclasses import dataclass

import numpy as np

from routecast.evaluate.curve import models_tie
from routecast.evaluate.report_format import (
    dollars,
    fixed,
    interval_text,
    p_value_text,
    percent,
)
from routecast.evaluate.report_series import cuts_of, has_costs, usd_digits
from routecast.evaluate.study import Difference, Figure, RouterStudy, Study

SIGNIFICANT = 0.05
_TARGETS = ("calls_95", "calls_98", "calls_100", "cpt_80", "cpt_50")


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The first thing that a reader sees.

    Attributes:
        title: One sentence.
        details: What it costs, how the ranking compares, what is chance.
        router: Name of the router it is about, the one that the page opens with, or None.
        strong_share: Share of strong calls it is about, where the page's slider starts.
    """

    title: str
    details: tuple[str, ...]
    router: str | None
    strong_share: float


def headline_of(study: Study) -> Headline:
    """Say what the best of the asked routers is worth, or why nothing can be said."""
    weak, strong = float(study.weak_quality.mean()), float(study.strong_quality.mean())
    scored = [router for router in study.routers if router.scores is not None]
    asked = [router for router in scored if not router.is_baseline] or scored
    first = asked[0].name if asked else None
    if models_tie(weak=weak, strong=strong):
        return Headline(
            title=f"{study.strong} and {study.weak} are equally good on these prompts: "
            "there is no gap for routing to recover.",
            details=("Send all prompts to the cheaper one, or choose another pair.",),
            router=first,
            strong_share=0.5,
        )
    if strong < weak:
        return Headline(
            title=f"{study.weak}, the weak model, is better on these prompts than {study.strong}, "
            "the strong one.",
            details=("Check which is which; PGR and the figures built on it mislead here.",),
            router=first,
            strong_share=0.5,
        )
    target = _telling_target(asked)
    if target is None:
        return Headline(
            title=f"{study.weak} against {study.strong} on {study.benchmark}: "
            "no router has a figure to lead with.",
            details=(),
            router=first,
            strong_share=0.5,
        )
    best = min(asked, key=lambda router: _value(router, target))
    return Headline(
        title=_title(best, target, study),
        details=tuple(_details(best, target, study, n_asked=len(asked))),
        router=best.name,
        strong_share=_value(best, target),
    )


def _telling_target(routers: list[RouterStudy]) -> str | None:
    """Return the first metric above 0 for some router: the weak model alone is not there."""
    for name in _TARGETS:
        values = [_value(router, name) for router in routers]
        if any(math.isfinite(value) and value > 0 for value in values):
            return name
    return None


def _value(router: RouterStudy, metric: str) -> float:
    figure = router.metrics.get(metric)
    return math.inf if figure is None or math.isnan(figure.value) else figure.value


def _title(router: RouterStudy, target: str, study: Study) -> str:
    kind, _, goal = target.rpartition("_")
    reached = (
        f"keeps {goal}% of {study.strong}’s quality"
        if kind == "calls"
        else f"recovers {goal}% of the quality gap between {study.weak} and {study.strong}"
    )
    figure = router.metrics[target]
    random = percent(random_share(target, study))
    return (
        f"{router.name} {reached} with {_with_interval(figure)} of its calls; "
        f"a random choice needs {random}."
    )


def _with_interval(figure: Figure) -> str:
    interval = interval_text(figure, 1, in_percent=True)
    return percent(figure.value) + (f" {interval}" if interval else "")


def random_share(target: str, study: Study) -> float:
    """Return the share of strong calls with which a random order reaches a headline's target.

    Its curve is a straight line from the weak to the strong model's quality.
    """
    kind, _, goal = target.rpartition("_")
    wanted = int(goal) / 100
    if kind == "cpt":
        return wanted
    weak, strong = float(study.weak_quality.mean()), float(study.strong_quality.mean())
    return min(max((wanted * strong - weak) / (strong - weak), 0.0), 1.0)


def _details(router: RouterStudy, target: str, study: Study, *, n_asked: int) -> list[str]:
    sentences = [f"It is the best of {n_asked} routers by this figure."] if n_asked > 1 else []
    saved = _saved_text(router, _value(router, target), study)
    return [*sentences, *saved, *_ranking_text(router, study), *_verdicts(router, study)]


def _saved_text(router: RouterStudy, strong_share: float, study: Study) -> list[str]:
    if router.scores is None or not has_costs(study):
        return []
    cuts = cuts_of(router, study)
    if cuts.cost_usd is None:
        return []
    shares = cuts.n_strong / len(study.prompts)
    cost = 1000 * float(np.interp(strong_share, shares, cuts.cost_usd))
    all_strong = 1000 * float(cuts.cost_usd[-1])
    if not all_strong > 0:
        return []
    n_digits = usd_digits(study)
    return [
        f"That costs {dollars(cost, n_digits)} per 1,000 prompts instead of "
        f"{dollars(all_strong, n_digits)}: {percent((all_strong - cost) / all_strong, 0)} saved."
    ]


def _ranking_text(router: RouterStudy, study: Study) -> list[str]:
    figure = router.metrics.get("apgr")
    if figure is None or math.isnan(figure.value):
        return []
    interval = interval_text(figure, 3)
    others = [
        f"{other.name} {fixed(other.metrics['apgr'].value, 3)}"
        for other in study.routers
        if other.is_baseline and other is not router and "apgr" in other.metrics
    ]
    beside = f"; {', '.join(others)}" if others else ""
    return [
        f"Over all shares of calls its APGR is {fixed(figure.value, 3)}"
        f"{' ' + interval if interval else ''}{beside}."
    ]


def _verdicts(router: RouterStudy, study: Study) -> list[str]:
    """Say, for each baseline it was compared with, whether the difference is more than chance."""
    baselines = {other.name for other in study.routers if other.is_baseline}
    return [
        _verdict(difference)
        for difference in study.differences
        if difference.router == router.name
        and difference.other in baselines
        and not math.isnan(difference.holm_p_value)
    ]


def _verdict(difference: Difference) -> str:
    p_value = p_value_text(difference.holm_p_value)
    p_text = f"(Holm-corrected p {p_value if p_value[0] == '<' else '= ' + p_value})"
    if difference.holm_p_value >= SIGNIFICANT:
        return f"Its difference to {difference.other} may be chance {p_text}."
    relation = "better" if difference.figure.value > 0 else "worse"
    return f"It is {relation} than {difference.other} by more than chance {p_text}."
