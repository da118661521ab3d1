"""What a manifest holds: records as msgspec structs, each able to give back what it stands for."""

from typing import Any

import msgspec
import numpy as np

from routecast.embed.protocol import EmbedderIdentity
from routecast.routers.calibrated import CalibrationMap
from routecast.stats.isotonic import IsotonicScaling
from routecast.stats.platt import PlattScaling


class FileRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Size and digest of one file, so that damage is found before it is used."""

    n_bytes: int
    sha256: str


class Source(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One set that the router learned from."""

    name: str
    licence: str
    n_prompts: int
    n_comparisons: int


class TrainingRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What the router learned from; ``digest`` is SHA-256 over prompts, models and outcomes."""

    digest: str
    n_prompts: int
    n_comparisons: int
    sources: tuple[Source, ...]


class PlattRecord(
    msgspec.Struct,
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    tag="platt",
):
    """Platt scaling as stored; see ``routecast.stats.platt``."""

    slope: float
    intercept: float

    def rebuild(self) -> PlattScaling:
        """Return the map.

        Raises:
            ValueError: If the numbers make no strictly increasing map.
        """
        return PlattScaling(self.slope, self.intercept)


class IsotonicRecord(
    msgspec.Struct,
    forbid_unknown_fields=True,
    frozen=True,
    kw_only=True,
    tag_field="kind",
    tag="isotonic",
):
    """A strictly increasing line through knots as stored; see ``routecast.stats.isotonic``."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def rebuild(self) -> IsotonicScaling:
        """Return the map.

        Raises:
            ValueError: If the numbers make no strictly increasing map.
        """
        return IsotonicScaling(np.array(self.scores), np.array(self.probabilities))


def record_map(calibration: CalibrationMap) -> PlattRecord | IsotonicRecord:
    """Return what the manifest stores of a calibration map; ``rebuild`` gives it back exactly."""
    if isinstance(calibration, PlattScaling):
        return PlattRecord(slope=calibration.slope, intercept=calibration.intercept)
    return IsotonicRecord(
        scores=tuple(calibration.scores.tolist()),
        probabilities=tuple(calibration.probabilities.tolist()),
    )


class AbstainedRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Prompts of the calibration sample that got no score: their means under each model.

    Attributes:
        strong_quality: Mean quality of the strong model's answers, in the sample's own unit.
        weak_quality: Likewise of the weak model's.
        strong_cost_usd_per_1k: US dollars of 1,000 answers of the strong model; None without costs.
        weak_cost_usd_per_1k: Likewise of the weak model.
    """

    strong_quality: float
    weak_quality: float
    strong_cost_usd_per_1k: float | None = None
    weak_cost_usd_per_1k: float | None = None


class OutcomesRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Quality and cost of routing on the calibration sample, for goals in these terms.

    Attributes:
        strong: Name of the sample's model that stood for strong.
        weak: Likewise for weak.
        strong_quality: Mean quality when every prompt goes to the strong model, in the sample's
            own unit.
        weak_quality: Likewise for the weak model.
        qualities: Mean quality of routing the scored prompts with the threshold at each of the
            1,001 quantiles, the first being all strong and the last all weak; equal scores are
            split.
        costs_usd_per_1k: Mean cost likewise, US dollars per 1,000 requests; None without costs.
        abstained: Means of the prompts without a score; None where there were none.
    """

    strong: str
    weak: str
    strong_quality: float
    weak_quality: float
    qualities: tuple[float, ...]
    costs_usd_per_1k: tuple[float, ...] | None = None
    abstained: AbstainedRecord | None = None


class CalibrationRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The map from score to probability, and what the sample's scores looked like.

    Attributes:
        sample: The calibration sample, in words.
        n_prompts: Prompts in that sample.
        map: The map from the router's own score to the calibrated win probability.
        win_probability_quantiles: 1,001 quantiles, at 0, 0.001, ..., 1, of the calibrated win
            probability on the sample's scored prompts; a goal becomes a threshold from these.
        abstained_share: Share of the sample that the router gave no score, in [0, 1).
        outcomes: Quality and cost along those quantiles; None where the sample had none.
    """

    sample: str
    n_prompts: int
    map: PlattRecord | IsotonicRecord
    win_probability_quantiles: tuple[float, ...]
    abstained_share: float = 0.0
    outcomes: OutcomesRecord | None = None


class MetricRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One figure with its 95% interval, on ``n_prompts`` prompts that training never saw."""

    benchmark: str
    metric: str
    value: float
    low: float
    high: float
    n_prompts: int


class Manifest(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Everything about an artifact but its weights.

    ``digest`` is SHA-256 of the manifest's own text, written by saving and checked by loading.
    """

    format_version: int
    digest: str = ""
    router: str
    package_version: str
    embedder: EmbedderIdentity
    strong: tuple[str, ...]
    weak: tuple[str, ...]
    seed: int
    settings: dict[str, Any]
    training: TrainingRecord
    calibration: CalibrationRecord
    metrics: tuple[MetricRecord, ...]
    files: dict[str, FileRecord]
