"""The cost-quality figure of a study, in the manner of the paper's figure 1, as PNG and SVG."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from routecast.data.files import whole_file
from routecast.errors import MissingExtraError
from routecast.evaluate.curve import CostQualityCurve, cost_quality_curve, models_tie
from routecast.evaluate.study import RouterStudy, Study
from routecast.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 300
_MAX_BANDS = 4  # more of them hide one another
_N_COLUMNS = 3  # of the legend
_COLORS = ("#0b5cad", "#c44d00", "#00735a", "#a0327d", "#6b5200", "#2b2f36")
_DASHES: tuple[tuple[float, ...], ...] = (
    (), (6, 2.5), (1.5, 1.8), (7, 2, 1.5, 2), (3.5, 2), (9, 2, 2, 2, 2, 2),
)  # fmt: skip
_MARKERS = ("o", "s", "^", "D", "v", "X")
_INK, _SOFT = "#17191c", "#6a7078"
_ORACLE = "oracle"
_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.edgecolor": _SOFT,
    "axes.unicode_minus": True,
    "text.parse_math": False,  # a name is text, whatever dollars it holds
    "svg.hashsalt": "routecast",
    "svg.fonttype": "path",
}


def write_curve_pictures(study: Study, folder: str | Path) -> None:
    """Write ``curve.png`` (300 dpi) and ``curve.svg`` into a folder.

    Mean quality against the share of strong calls, PGR on the right axis; bands are 95%
    intervals of what routing adds to a random choice, the dotted line (with up to four asked
    routers; how good the models are on other prompts is the same for all of them). The oracle is
    left out: it would press all other curves together. Colours differ in lightness too, and
    lines in dashes and marks, so that the figure reads in grey. Equal studies give equal bytes.

    Raises:
        DataError: If a file cannot be written.
        MissingExtraError: If matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError("drawing the curve", "lab") from error
    with mpl.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name in any script
        figure = _draw(study)
        for ending in ("png", "svg"):
            with whole_file(Path(folder) / f"curve.{ending}") as file:
                _save(figure, file, ending)


def _save(figure: "Figure", file: BinaryIO, ending: str) -> None:
    metadata = {"Software": None} if ending == "png" else {"Date": None, "Creator": None}
    figure.savefig(file, format=ending, dpi=_DPI, metadata=metadata)


def _draw(study: Study) -> "Figure":
    from matplotlib.figure import Figure

    drawn = [one for one in study.routers if one.scores is not None and one.name != _ORACLE]
    n_rows = -(-(len(drawn) + 1) // _N_COLUMNS)
    figure = Figure(figsize=(5.6, 3.7 + 0.2 * n_rows), layout="constrained")
    axes = figure.add_subplot()
    weak, strong = float(study.weak_quality.mean()), float(study.strong_quality.mean())
    _draw_models(axes, study, weak=weak, strong=strong)
    n_asked = n_baseline = 0
    n_bands = sum(not router.is_baseline for router in drawn)
    for router in drawn:
        if router.is_baseline:
            _draw_baseline(axes, router, _curve(router, study), n_baseline)
            n_baseline += 1
        else:
            _draw_router(
                axes, router, _curve(router, study), n_asked, with_band=n_bands <= _MAX_BANDS
            )
            n_asked += 1
    axes.plot([0, 1], [weak, strong], color=_SOFT, dashes=(1, 2), linewidth=1.2, label="random")
    _finish(axes, study, weak=weak, strong=strong)
    return figure


def _curve(router: RouterStudy, study: Study) -> CostQualityCurve:
    scores = np.zeros(len(study.prompts)) if router.scores is None else router.scores
    return cost_quality_curve(
        scores, weak_quality=study.weak_quality, strong_quality=study.strong_quality
    )


def _draw_models(axes: "Axes", study: Study, *, weak: float, strong: float) -> None:
    """Mark what each model reaches alone: a point at its end, a hairline across."""
    for share, level, name, side, rise in (
        (0.0, weak, study.weak, "left", -1),
        (1.0, strong, study.strong, "right", 1),
    ):
        axes.axhline(level, color="#c4c9cf", linewidth=0.8, zorder=1)
        axes.plot([share], [level], marker="o", markersize=5, color=_INK, zorder=6, clip_on=False)
        axes.annotate(
            _short(name), (1.0 - share, level), xytext=(0, 3 * rise), textcoords="offset points",
            ha="right" if side == "left" else "left", va="bottom" if rise > 0 else "top",
            fontsize=8, color=_INK,
        )  # fmt: skip


def _draw_router(
    axes: "Axes", router: RouterStudy, curve: CostQualityCurve, number: int, *, with_band: bool
) -> None:
    color = _COLORS[number % len(_COLORS)]
    turn = (number + number // len(_COLORS)) % len(_DASHES)
    if router.band is not None and with_band:
        shares, ends = router.band.strong_share, curve.quality[[0, -1]]
        random = ends[0] + shares * (ends[1] - ends[0])
        axes.fill_between(
            shares, random + router.band.gain_low, random + router.band.gain_high,
            color=color, alpha=0.13, linewidth=0, zorder=2,
        )  # fmt: skip
    [line] = axes.plot(
        curve.strong_share, curve.quality, color=color, linewidth=1.7, zorder=4,
        marker=_MARKERS[turn], markersize=4.5, markerfacecolor="white", markeredgewidth=1.2,
        markevery=_mark_places(curve.strong_share, number), label=_short(router.name),
    )  # fmt: skip
    if _DASHES[turn]:
        line.set_dashes(_DASHES[turn])


def _mark_places(strong_share: FloatArray, number: int) -> list[int]:
    """Return five places along a curve, shifted from curve to curve so that marks stay apart."""
    shares = 0.1 + 0.2 * np.arange(5) + 0.03 * (number % 6)
    places = np.minimum(np.searchsorted(strong_share, shares), len(strong_share) - 1)
    return [int(place) for place in np.unique(places)]


def _draw_baseline(axes: "Axes", router: RouterStudy, curve: CostQualityCurve, number: int) -> None:
    dashes = ((4, 2), (7, 2, 1, 2), (2, 1), (1, 1))[number % 4]
    axes.plot(
        curve.strong_share, curve.quality, color=_SOFT, dashes=dashes, linewidth=1.2, zorder=3,
        label=_short(router.name),
    )  # fmt: skip


def _finish(axes: "Axes", study: Study, *, weak: float, strong: float) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(f"Calls to {_short(study.strong)}")
    axes.set_ylabel("Mean quality")
    axes.set_title(
        f"{_short(study.benchmark)} (N = {len(study.prompts):,})", loc="left", fontsize=10
    )
    if not models_tie(weak=weak, strong=strong):
        right = axes.secondary_yaxis(
            "right",
            functions=(
                lambda quality: (np.asarray(quality, dtype=float) - weak) / (strong - weak),
                lambda recovered: weak + np.asarray(recovered, dtype=float) * (strong - weak),
            ),
        )
        right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        right.set_ylabel("Gap recovered (PGR)")
    axes.margins(y=0.09)
    axes.figure.legend(
        loc="outside lower center", ncols=_N_COLUMNS, frameon=False, fontsize=8,
        handlelength=3.4, columnspacing=1.6,
    )  # fmt: skip


def _short(name: str) -> str:
    """Return the last part of a name that is a path, cut to 32 characters.

    matplotlib leaves names that start with an underscore out of legends, so they get a space.
    """
    last = name.rstrip("/").rpartition("/")[2] or name
    cut = last if len(last) <= 32 else last[:31] + "…"
    return f" {cut}" if cut.startswith("_") else cut
