"""A report's figures by group of prompts, and by category of groups, as HTML."""

from html import escape

from routecast.evaluate.report_format import fixed, interval_text, quality_digits, whole
from routecast.evaluate.study import Figure, Study, SubsetStudy


def subset_tables(study: Study) -> str:
    """Return APGR of each router by category and by group, folded; empty without subsets."""
    kinds = sorted({subset.kind for subset in study.subsets})
    return "".join(
        _subset_table(study, kind, [one for one in study.subsets if one.kind == kind])
        for kind in kinds
    )


def _subset_table(study: Study, kind: str, subsets: list[SubsetStudy]) -> str:
    routers = [
        router.name
        for router in study.routers
        if any("apgr" in subset.metrics.get(router.name, {}) for subset in subsets)
    ]
    heads = "".join(f'<th scope="col"><bdi>{escape(name)}</bdi></th>' for name in routers)
    n_digits = quality_digits(study.quality_range)
    rows = "\n".join(_subset_row(subset, routers, n_digits) for subset in subsets)
    title = f"APGR by {escape(kind)} ({whole(len(subsets))})"
    return (
        f'<details><summary>{title}</summary><div class="scroll" role="region" tabindex="0" '
        f'aria-label="{title}"><table><caption>{title}</caption><thead><tr>'
        f'<th scope="col">{escape(kind.capitalize())}</th><th scope="col">N</th>'
        f'<th scope="col">Weak model</th><th scope="col">Strong model</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def _subset_row(subset: SubsetStudy, routers: list[str], n_digits: int) -> str:
    cells = "".join(_apgr_cell(subset.metrics.get(name, {}).get("apgr")) for name in routers)
    return (
        f'<tr><th scope="row"><bdi>{escape(subset.name)}</bdi></th>'
        f"<td>{whole(subset.n_prompts)}</td><td>{fixed(subset.weak_quality, n_digits)}</td>"
        f"<td>{fixed(subset.strong_quality, n_digits)}</td>{cells}</tr>"
    )


def _apgr_cell(figure: Figure | None) -> str:
    if figure is None:
        return "<td></td>"
    interval = interval_text(figure, 3)
    return f"<td>{fixed(figure.value, 3)}{f'<small>{interval}</small>' if interval else ''}</td>"
