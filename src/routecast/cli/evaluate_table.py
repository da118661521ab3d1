"""The table that `routecast evaluate` prints."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from routecast.evaluate.names import SAVED_SHARE, SAVED_USD_PER_1K

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from routecast.evaluate.study import Figure, RouterStudy, Study

_WIDTH = 112
_NAME_WIDTH = 26
_ORACLE = "oracle"
_LEGEND = (
    "* baseline. In brackets 95% intervals. APGR: mean share of the quality gap that routing "
    "recovers, 0.5 at random. CPT: share of strong calls that recovers so much of the gap, which "
    "is not the strong model's quality: calibrate --min-quality asks for a share of that."
)

_ROBUSTNESS_LEGEND = (
    "flipped: share of {n_prompts:,} prompts that go to the other model when they are changed so. "
    "lifted: share of the weak model's prompts that go to the strong one when so much neutral text "
    "is appended, or ten words stand before them: random ones, or those of a hill climb against "
    "the router, on other prompts. Half of what random decides is flipped, and lifted."
)


def print_study(study: "Study", *, by: str | None = None) -> None:
    """Print a study: the routers, what tells them apart, what is to be minded.

    Args:
        study: What was found.
        by: ``group`` or ``category``: print their figures too.
    """
    from rich.console import Console

    console = Console(width=_width(), highlight=False, markup=False)
    weak, strong = study.weak_quality.mean(), study.strong_quality.mean()
    n_prompts = len(study.prompts)
    console.print(f"{study.benchmark}: {n_prompts:,} {'prompt' if n_prompts == 1 else 'prompts'}")
    console.print(f"  strong {study.strong}, quality {_quality(strong)}")
    console.print(f"  weak   {study.weak}, quality {_quality(weak)}")
    console.print(_routers(study))
    console.print(_LEGEND)
    if any(_is_known(router.metrics.get(SAVED_SHARE)) for router in study.routers):
        console.print("saved against the strong model alone, at 95% of its quality:")
        console.print(_savings(study))
    if study.differences:
        console.print(_differences(study))
    if study.robustness:
        _print_robustness(console, study)
    if by is not None:
        _print_subsets(console, study, by)
    for warning in study.warnings:
        console.print(f"note: {warning}")


def _width() -> int | None:
    """Return the width of what is not a terminal; None leaves it to the terminal."""
    return None if sys.stdout.isatty() else _WIDTH


def _routers(study: "Study") -> "Table":
    from rich.table import Table
    from rich.text import Text

    printed = Table()
    printed.add_column("router", no_wrap=True)
    for header in ("APGR", "CPT(50%)", "CPT(80%)", "AUROC", "ECE"):
        printed.add_column(header, justify="right", no_wrap=True)
    was_baseline = False
    for router in study.routers:
        if router.is_baseline and not was_baseline:
            printed.add_section()
        was_baseline = router.is_baseline
        printed.add_row(Text(_shown_name(router)), *_cells(router))
    return printed


def _cells(router: "RouterStudy") -> list[str]:
    metrics = router.metrics
    if "apgr" not in metrics:
        quality = metrics.get("quality")
        return ["" if quality is None else f"quality {_quality(quality.value)}", *[""] * 4]
    return [
        _with_interval(metrics, "apgr", decimals=3),
        *(_with_interval(metrics, name, decimals=1, percent=True) for name in ("cpt_50", "cpt_80")),
        *(_alone(metrics, name) for name in ("auroc", "ece")),
    ]


def _savings(study: "Study") -> "Table":
    """Show what each router saves, those that learned nothing too, where costs are known."""
    from rich.table import Table
    from rich.text import Text

    printed = Table()
    printed.add_column("router", no_wrap=True)
    for header in ("$ per 1,000 prompts", "share of its bill"):
        printed.add_column(header, justify="right", no_wrap=True)
    for router in study.routers:
        if _is_known(router.metrics.get(SAVED_SHARE)):
            usd, share = router.metrics[SAVED_USD_PER_1K], router.metrics[SAVED_SHARE]
            printed.add_row(
                Text(_shown_name(router)),
                _dollars(usd),
                f"{share.value:z.1%} [{100 * share.low:z.1f}, {100 * share.high:z.1f}]",
            )
    return printed


def _dollars(usd: "Figure") -> str:
    """Show an amount with its interval; rounding noise, below a billionth of a dollar, is 0."""
    value, low, high = (f"{round(x, 9) + 0.0:.4g}" for x in (usd.value, usd.low, usd.high))
    return f"{value} [{low}, {high}]"


def _is_known(figure: "Figure | None") -> bool:
    return figure is not None and not math.isnan(figure.value)


def _shown_name(router: "RouterStudy") -> str:
    name = router.name
    if len(name) > _NAME_WIDTH:
        name = Path(name).name[-_NAME_WIDTH:] if "/" in name else name[: _NAME_WIDTH - 1] + "…"
    return name + ("*" if router.is_baseline else "")


def _with_interval(
    metrics: "Mapping[str, Figure]", name: str, *, decimals: int = 0, percent: bool = False
) -> str:
    figure = metrics.get(name)
    if figure is None or math.isnan(figure.value):
        return "-"
    scale, unit = (100, "%") if percent else (1, "")
    value, low, high = (
        f"{scale * x:z.{decimals}f}" for x in (figure.value, figure.low, figure.high)
    )
    if math.isnan(figure.low) or figure.low == figure.high:
        return f"{value}{unit}"
    return f"{value}{unit} [{low}, {high}]"


def _alone(metrics: "Mapping[str, Figure]", name: str) -> str:
    figure = metrics.get(name)
    return "-" if figure is None or math.isnan(figure.value) else f"{figure.value:.3f}"


def _differences(study: "Study") -> "Table":
    from rich.table import Table
    from rich.text import Text

    printed = Table(title="differences of APGR, Holm's correction", title_justify="left")
    printed.add_column("router", no_wrap=True)
    printed.add_column("against", no_wrap=True)
    for header in ("difference", "p", "corrected p"):
        printed.add_column(header, justify="right", no_wrap=True)
    for found in study.differences:
        figure = found.figure
        printed.add_row(
            Text(found.router[-_NAME_WIDTH:]),
            Text(found.other[-_NAME_WIDTH:]),
            _signed(figure),
            *(_p_value(p) for p in (found.p_value, found.holm_p_value)),
        )
    return printed


def _signed(figure: "Figure") -> str:
    if math.isnan(figure.value):
        return "-"
    return f"{figure.value:+z.3f} [{figure.low:+z.3f}, {figure.high:+z.3f}]"


def _p_value(p: float) -> str:
    return "-" if math.isnan(p) else f"{p:.4f}"


def _print_subsets(console: "Console", study: "Study", by: str) -> None:
    from rich.table import Table
    from rich.text import Text

    subsets = [subset for subset in study.subsets if subset.kind == by]
    if not subsets:
        console.print(f"note: there are no figures by {by}")
        return
    printed = Table(title=f"APGR by {by}", title_justify="left")
    printed.add_column(by, no_wrap=True)
    printed.add_column("N", justify="right")
    names = [
        router.name
        for router in study.routers
        if router.name in subsets[0].metrics and router.name != _ORACLE
    ]
    for name in names:
        printed.add_column(Text(name[-_NAME_WIDTH:]), justify="right")
    for subset in subsets:
        cells = [_with_interval(subset.metrics[name], "apgr", decimals=2) for name in names]
        printed.add_row(Text(subset.name[:_NAME_WIDTH]), f"{subset.n_prompts:,}", *cells)
    console.print(printed)


def _print_robustness(console: "Console", study: "Study") -> None:
    """Show a router per column, for there are more changes than routers."""
    from rich.table import Table
    from rich.text import Text

    printed = Table(title="robustness, half of the calls strong", title_justify="left")
    printed.add_column("", no_wrap=True)
    for found in study.robustness:
        printed.add_column(Text(found.router[-_NAME_WIDTH:]), justify="right")
    first = study.robustness[0]
    for kind, names in (("flipped", first.flipped), ("lifted", first.lifted)):
        for name in names:
            shares = [getattr(found, kind)[name] for found in study.robustness]
            cells = [
                "-"
                if math.isnan(share.figure.value)
                else f"{share.figure.value:.2f} [{share.figure.low:.2f}, {share.figure.high:.2f}]"
                for share in shares
            ]
            printed.add_row(f"{kind}: {name.replace('_', ' ')}", *cells)
        printed.add_section()
    console.print(printed)
    console.print(_ROBUSTNESS_LEGEND.format(n_prompts=first.n_prompts))


def _quality(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"
