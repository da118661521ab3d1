"""What `routecast calibrate` prints, for people and for programs."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routecast.calibrate.run import CalibrationReport
    from routecast.evaluate.study import Figure


def report_fields(report: "CalibrationReport") -> dict[str, Any]:
    """Return the report as a JSON object; what is unknown or undefined is null."""
    choice, outcomes, fitted = report.choice, report.outcomes, report.map_choice
    document: dict[str, Any] = {
        "router": report.router,
        "sample": report.sample,
        "n_prompts": choice.n_prompts,
        "n_abstained": choice.n_abstained,
        "on_router_error": choice.on_router_error,
        "goal": {choice.goal.name: choice.goal.value},
        "threshold": choice.cut.threshold,
        "tie_share": choice.cut.tie_share,
        "n_tied": choice.n_tied,
        "n_groups": choice.n_groups,
        "n_to_halve": choice.n_to_halve,
        "weak_is_enough": choice.weak_is_enough,
        "strong": None if outcomes is None else outcomes.strong,
        "weak": None if outcomes is None else outcomes.weak,
    }
    for name in ("strong_share", "quality", "quality_share", "cost_usd_per_1k"):
        figure = getattr(choice, name)
        document[name] = None if figure is None else _finite(asdict(figure))
    document["likeness"] = None if report.likeness is None else asdict(report.likeness)
    document["calibration"] = None
    if fitted is not None:
        document["calibration"] = {
            "kind": fitted.kind,
            **_finite({name: getattr(fitted, name) for name in _LOSSES}),
        }
    document["warnings"] = list(report.warnings)
    document["output"] = None if report.output is None else str(report.output)
    return document


_LOSSES = ("platt_log_loss", "isotonic_log_loss")


def _finite(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value if math.isfinite(value) else None for name, value in fields.items()}


def report_lines(report: "CalibrationReport") -> Iterator[str]:
    """Yield the report as lines for people."""
    from routecast.calibrate.sample import MAX_PROMPTS

    choice, outcomes = report.choice, report.outcomes
    yield f"{report.router} on {report.sample}"
    yield f"threshold  {choice.cut.threshold:.10g}{_tied(report)}"
    yield f"strong     {_percent(choice.strong_share)} of calls"
    yield (
        f"no score   {choice.n_abstained:,} of {choice.n_prompts:,} prompts; on_router_error = "
        f"{choice.on_router_error!r} sends such to the {choice.on_router_error} model"
    )
    if choice.quality is not None and outcomes is not None:
        yield (
            f"quality    {_interval(choice.quality, '{:.4g}')}; strong alone "
            f"{outcomes.strong_quality.mean():.4g}, weak alone {outcomes.weak_quality.mean():.4g}"
        )
    if choice.quality_share is not None:
        yield f"           {_percent(choice.quality_share)} of the strong model's (not of the gap)"
    if choice.weak_is_enough:
        yield "           the weak model alone meets this goal; there is no need to route"
        if outcomes is not None and outcomes.weak_quality.mean() > outcomes.strong_quality.mean():
            yield "           it is the better one on this sample: are the names swapped?"
    if choice.cost_usd_per_1k is not None:
        yield f"cost       {_interval(choice.cost_usd_per_1k, '{:.4g}')} USD per 1,000 requests"
    by_group = "" if choice.n_groups is None else f", with prompts in {choice.n_groups:,} groups"
    halved = f"; a sample of {choice.n_to_halve:,} would halve them"
    yield f"Intervals are 95%{by_group}{halved if choice.n_to_halve <= MAX_PROMPTS else ''}."
    if report.likeness is not None and report.likeness.verdict != "unlike":
        words = report.likeness.words
        yield f"{words[0].upper()}{words[1:]}."
    yield from _next_step(report)


def _tied(report: "CalibrationReport") -> str:
    choice = report.choice
    if choice.cut.tie_share == 1:
        return ""
    return (
        f"  ({choice.n_tied:,} prompts score just that; a hash sends "
        f"{choice.cut.tie_share:.0%} of such to the strong model)"
    )


def _next_step(report: "CalibrationReport") -> Iterator[str]:
    """Say what was written, or what to write into the settings."""
    choice, fitted = report.choice, report.map_choice
    if report.output is None:
        tie = f"tie_share = {choice.cut.tie_share:.6g}" if choice.cut.tie_share < 1 else ""
        shown = min(choice.cut.threshold, 1.0)
        yield f"In routecast.toml: router = {_toml(report.router)}, threshold = {shown:.10g}" + (
            f", {tie}" if tie else ""
        )
        return
    if fitted is not None:
        yield (
            f"Win probabilities fitted anew: {fitted.kind} (log loss on folds left out: platt "
            f"{fitted.platt_log_loss:.4f}, isotonic {fitted.isotonic_log_loss:.4f})"
        )
    yield (
        f"Wrote {report.output}. In routecast.toml: "
        f"router = {_toml(str(report.output))}, {choice.goal.name} = {choice.goal.value:.10g}"
    )


def _toml(text: str) -> str:
    """Write a basic string as TOML does; JSON escapes the same characters the same way."""
    return json.dumps(text, ensure_ascii=False)


def _percent(figure: "Figure") -> str:
    return f"{_interval(figure, '{:.1%}')}"


def _interval(figure: "Figure", form: str) -> str:
    if not math.isfinite(figure.low) or not math.isfinite(figure.high):
        return f"{form.format(figure.value)} (no interval from so few prompts)"
    parts = (figure.value, figure.low, figure.high)
    value, low, high = (form.format(part + 0.0 if part else 0.0) for part in parts)  # never -0
    return f"{value} ({low} to {high})"
