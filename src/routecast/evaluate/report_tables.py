"""The parts of a report that need no script: tables, warnings, definitions, as HTML.

Every name comes from the user or from a file, so all of it is escaped.
"""

from collections import Counter
from html import escape

from routecast.evaluate.report_format import (
    dollars,
    fixed,
    p_value_text,
    quality_digits,
    whole,
)
from routecast.evaluate.report_metrics import MetricText, metrics_present
from routecast.evaluate.report_series import has_costs, usd_digits
from routecast.evaluate.study import Difference, RouterStudy, Study
from routecast.types import FloatArray

_COST_HEAD = '<th scope="col">Dollars per 1,000 prompts</th>'
_OF_ONE_MODEL = {"quality", "strong_share", "gap_recovered", "cost_usd_per_1k"}
"""Figures of always taking one model: the table of the two models holds them."""


def metric_tables(study: Study) -> str:
    """Return one table for each family of metrics, a row per router."""
    metrics = _metrics_of(study)
    captions = dict.fromkeys(metric.table for metric in metrics)
    return "\n".join(
        _metric_table(study, caption, [metric for metric in metrics if metric.table == caption])
        for caption in captions
    )


def _metrics_of(study: Study) -> list[MetricText]:
    names = (name for router in study.routers for name in router.metrics)
    return metrics_present(name for name in names if name not in _OF_ONE_MODEL)


def _metric_table(study: Study, caption: str, metrics: list[MetricText]) -> str:
    heads = "".join(
        f'<th scope="col"><a href="#def-{_anchor(metric.name)}" title="{escape(metric.meaning)}">'
        f'{escape(metric.label)}</a>&nbsp;<span class="better">{_arrow(metric)}</span></th>'
        for metric in metrics
    )
    names = {metric.name for metric in metrics}
    rows = "\n".join(
        f"<tr{_row_class(router)}>{_row_head(router)}"
        f"{''.join(_cell(router, metric) for metric in metrics)}</tr>"
        for router in study.routers
        if names & router.metrics.keys()
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}, N = {whole(len(study.prompts))}</caption>"
        f'<thead><tr><th scope="col">Router</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _anchor(name: str) -> str:
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in name)


def _arrow(metric: MetricText) -> str:
    if not metric.meaning:
        return ""
    sign = "↑" if metric.better == "higher" else "↓"
    spoken = f'<span class="hidden">{metric.better} is better</span>'
    return f'<span aria-hidden="true">{sign}</span>{spoken}'


def _row_class(router: RouterStudy) -> str:
    return ' class="baseline"' if router.is_baseline else ""


def _row_head(router: RouterStudy) -> str:
    note = " <small>baseline</small>" if router.is_baseline else ""
    return f'<th scope="row"><bdi>{escape(router.name)}</bdi>{note}</th>'


def _cell(router: RouterStudy, metric: MetricText) -> str:
    figure = router.metrics.get(metric.name)
    if figure is None:
        return '<td class="none"><span class="hidden">not defined</span></td>'
    interval = metric.interval_text(figure)
    small = f"<small>{interval}</small>" if interval else ""
    return f"<td>{metric.value_text(figure)}{small}</td>"


def difference_table(study: Study) -> str:
    """Return differences between routers with intervals and p-values; empty if there is none."""
    if not study.differences:
        return ""
    rows = "\n".join(_difference_row(difference) for difference in study.differences)
    caption = "Differences, on the same resamples of the prompts"
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table>'
        f'<caption>{caption}</caption><thead><tr><th scope="col">Router</th>'
        '<th scope="col" class="text">against</th><th scope="col" class="text">in</th>'
        '<th scope="col">Difference</th>'
        '<th scope="col">p</th><th scope="col">p, Holm</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _difference_row(difference: Difference) -> str:
    [metric] = metrics_present([difference.metric])
    interval = metric.interval_text(difference.figure)
    small = f"<small>{interval}</small>" if interval else ""
    return (
        f'<tr><th scope="row"><bdi>{escape(difference.router)}</bdi></th>'
        f'<td class="text"><bdi>{escape(difference.other)}</bdi></td>'
        f'<td class="text">{escape(metric.label)}</td>'
        f"<td>{_signed(metric.value_text(difference.figure))}{small}</td>"
        f"<td>{escape(p_value_text(difference.p_value))}</td>"
        f"<td>{escape(p_value_text(difference.holm_p_value))}</td></tr>"
    )


def _signed(text: str) -> str:
    return f"+{text}" if text[0].isdigit() and text.strip("0.,%") else text


def warning_list(study: Study) -> str:
    """Return the study's warnings; empty if there is none."""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in study.warnings)
    return f'<ul class="warnings">{items}</ul>' if items else ""


def model_table(study: Study) -> str:
    """Return what each model alone reaches, and costs where that is known."""
    n_digits = quality_digits(study.quality_range)
    low, high = (fixed(end, n_digits).rstrip("0").rstrip(".") or "0" for end in study.quality_range)
    priced = has_costs(study)
    rows = "".join(
        f'<tr><th scope="row"><bdi>{escape(name)}</bdi> <small>{role}</small></th>'
        f"<td>{fixed(float(quality.mean()), n_digits)}</td>"
        f"{_cost_cell(cost_usd, study) if priced and cost_usd is not None else ''}</tr>"
        for role, name, quality, cost_usd in (
            ("strong", study.strong, study.strong_quality, study.strong_cost_usd),
            ("weak", study.weak, study.weak_quality, study.weak_cost_usd),
        )
    )
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="The two models, alone">'
        '<table class="models"><caption>The two models, alone</caption><thead><tr>'
        f'<th scope="col">Model</th><th scope="col">Mean quality, from {low} to {high}</th>'
        f"{_COST_HEAD if priced else ''}"
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cost_cell(cost_usd: FloatArray, study: Study) -> str:
    return f"<td>{dollars(1000 * float(cost_usd.mean()), usd_digits(study))}</td>"


def definition_list(study: Study) -> str:
    """Return what each metric of the tables means."""
    metrics = _metrics_of(study)
    items = "".join(
        f'<div id="def-{_anchor(metric.name)}"><dt>{escape(metric.label)}</dt>'
        f"<dd>{escape(metric.meaning) or 'A figure that this report does not know.'}</dd></div>"
        for metric in metrics
    )
    return f"<dl>{items}</dl>" if items else ""


def outcome_counts(study: Study) -> str:
    """Say in words on how many prompts which model's answer is better."""
    gap = study.strong_quality - study.weak_quality
    counts = Counter(["weak" if one < 0 else "strong" if one > 0 else "tie" for one in gap])
    n_prompts = len(gap)
    return (
        f"On {whole(counts['strong'])} of {whole(n_prompts)} prompts the strong model’s answer is "
        f"better, on {whole(counts['weak'])} the weak one’s, on {whole(counts['tie'])} they are "
        "equally good."
    )
