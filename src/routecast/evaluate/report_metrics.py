"""The metrics that a report knows: their order, what people call them, what they mean."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from routecast.evaluate.report_format import dollars, fixed, interval_text, percent
from routecast.evaluate.study import Figure


@dataclass(frozen=True, kw_only=True)
class MetricText:
    """How a report names, prints and explains one metric.

    Attributes:
        name: As in `RouterStudy.metrics`.
        label: The head of its column.
        table: The caption of the table that it stands in.
        unit: ``plain`` figures have three decimals, shares are percentages, ``usd`` is dollars.
        better: ``higher`` or ``lower``.
        meaning: One or two sentences for someone who has not read the paper.
    """

    name: str
    label: str
    table: str
    unit: Literal["plain", "share", "usd"] = "plain"
    better: str = "higher"
    meaning: str

    def value_text(self, figure: Figure) -> str:
        """Print the figure in its unit."""
        if self.unit == "plain":
            return fixed(figure.value, 3)
        return percent(figure.value) if self.unit == "share" else dollars(figure.value, 2)

    def interval_text(self, figure: Figure) -> str:
        """Print its interval in the same digits, without the unit's sign; empty if exact."""
        n_digits = {"plain": 3, "share": 1, "usd": 2}[self.unit]
        return interval_text(figure, n_digits, in_percent=self.unit == "share")


ROUTING = "Quality against calls"
DOLLARS = "Quality against dollars"
WINS = "Win probabilities"
PUBLISHED = "APGR by other rules, for comparison with published figures"
OTHER = "Other figures"


def _calls_for(quality_percent: int) -> MetricText:
    return MetricText(
        name=f"calls_{quality_percent}",
        label=f"Calls for {quality_percent}%",
        table=ROUTING,
        unit="share",
        better="lower",
        meaning=(
            f"The smallest share of prompts to send to the strong model so that mean quality is "
            f"{quality_percent}% of the strong model's own, as routecast calibrate --min-quality "
            f"{quality_percent / 100:g} finds it. 0% where the weak model alone is there."
        ),
    )


def _cpt(gap_percent: int) -> MetricText:
    return MetricText(
        name=f"cpt_{gap_percent}",
        label=f"CPT({gap_percent}%)",
        table=ROUTING,
        unit="share",
        better="lower",
        meaning=(
            "Call-performance threshold: the smallest share of prompts to send to the strong "
            f"model that recovers {gap_percent}% of the quality gap between the two models: of "
            "what the strong model adds, not of its quality."
        ),
    )


def _cpt_usd(gap_percent: int) -> MetricText:
    return MetricText(
        name=f"cpt_{gap_percent}_usd",
        label=f"CPT({gap_percent}%), dollars",
        table=DOLLARS,
        unit="share",
        better="lower",
        meaning=(
            f"What CPT({gap_percent}%) costs: 0% is the bill of the weak model alone, 100% that of "
            "the strong model alone."
        ),
    )


METRICS = (
    MetricText(
        name="apgr",
        label="APGR",
        table=ROUTING,
        meaning=(
            "Average performance gap recovered: the area under the curve of PGR, over all shares "
            "of strong calls. A random choice has 0.5; the oracle's is the most that any router "
            "can reach here."
        ),
    ),
    MetricText(
        name="apgr_normalised",
        label="Normalised APGR",
        table=ROUTING,
        meaning=(
            "(APGR − 0.5) / (the oracle's APGR − 0.5): 0 for a random choice, 1 for the oracle. "
            "Comparable between benchmarks."
        ),
    ),
    _cpt(50),
    _cpt(80),
    *(_calls_for(quality_percent) for quality_percent in (90, 95, 98, 100)),
    MetricText(
        name="apgr_usd",
        label="APGR, dollars",
        table=DOLLARS,
        meaning=(
            "APGR with dollars in place of calls, from the cost of the weak model alone "
            "to that of the strong one."
        ),
    ),
    _cpt_usd(50),
    _cpt_usd(80),
    MetricText(
        name="saved_95_usd_per_1k",
        label="Saved at 95%",
        table=DOLLARS,
        unit="usd",
        meaning=(
            "Dollars saved per 1,000 prompts, against the strong model alone, at the fewest calls "
            "that keep 95% of its quality."
        ),
    ),
    MetricText(
        name="saved_95_share",
        label="Bill saved at 95%",
        table=DOLLARS,
        unit="share",
        meaning="The same as a share of the strong model's bill.",
    ),
    MetricText(
        name="auroc",
        label="AUROC",
        table=WINS,
        meaning=(
            "The probability that a prompt on which the strong model wins scores above one on "
            "which it loses; 0.5 is a random order. A tie is half a win and half a loss."
        ),
    ),
    MetricText(
        name="log_loss",
        label="Log loss",
        table=WINS,
        better="lower",
        meaning=(
            "Mean cross-entropy, in nats, of win probability and outcome (1, 0, or 0.5 for a tie). "
            "Answering 0.5 every time gives 0.693."
        ),
    ),
    MetricText(
        name="brier",
        label="Brier score",
        table=WINS,
        better="lower",
        meaning="Mean squared difference of win probability and outcome (1, 0, or 0.5 for a tie).",
    ),
    MetricText(
        name="ece",
        label="ECE",
        table=WINS,
        better="lower",
        meaning=(
            "Expected calibration error: how far win probability and share of wins lie apart, the "
            "mean over 15 bins of about equally many prompts."
        ),
    ),
    MetricText(
        name="apgr_ten_thresholds",
        label="APGR, ten shares",
        table=PUBLISHED,
        meaning="The paper's approximation: the mean PGR at ten shares of strong calls.",
    ),
    MetricText(
        name="apgr_eleven_quantiles",
        label="APGR, eleven quantiles",
        table=PUBLISHED,
        meaning=(
            "The published code's approximation: a trapezoid over eleven quantiles of the score. "
            "Coarse where many scores are equal."
        ),
    ),
)
_ORDER = tuple(metric.name for metric in METRICS)
_BY_NAME = {metric.name: metric for metric in METRICS}


def metrics_present(names: Iterable[str]) -> list[MetricText]:
    """Return the texts of these metrics in a report's order; unknown ones last, as they are named.

    Args:
        names: Metric names, repeats allowed.
    """
    distinct = dict.fromkeys(names)
    known = [_BY_NAME[name] for name in _ORDER if name in distinct]
    return known + [
        MetricText(name=name, label=name, table=OTHER, meaning="")
        for name in distinct
        if name not in _BY_NAME
    ]
