"""Measuring the shipped router on sets that a fit has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from runs.default_sets import Trial

from routecast.artifacts import MetricRecord
from routecast.embed.protocol import Embedder
from routecast.evaluate.intervals import MetricSamples, bootstrap_metrics
from routecast.evaluate.metrics import oracle_scores, routing_metrics
from routecast.evaluate.own_labels import own_label_ranks
from routecast.routers.length import LengthRouter
from routecast.routers.protocol import Router
from routecast.stats.bootstrap import percentile_interval
from routecast.types import FloatArray

SEED = 20261201
DEFAULT, LENGTH, ORACLE = "default", "length", "oracle"
OWN_LABELS = "ridge, own labels"
SHOWN = (DEFAULT, LENGTH, OWN_LABELS, ORACLE)
METRICS = ("apgr", "cpt_50", "cpt_80")
MIXED = (
    "mmlu",
    "gsm8k",
    "mt-bench",
    "natural",
    "routerdc",
    "alpaca2",
    "alpaca1",
    "pandalm",
)
"""The sets of the mixture: those that train nothing."""

N_OF_EACH, N_MIXTURES = 150, 1_000
_MT_BENCH_RANGE = (1.0, 10.0)

Interval = tuple[float, float, float]
"""A value and the ends of its 95% interval."""


@dataclass(frozen=True, eq=False)
class Measured:
    """One trial, scored.

    Attributes:
        trial: The prompts and their qualities.
        scores: By router, each of shape (n_prompts,).
        samples: Of the metrics, on the same resamples for all routers.
    """

    trial: Trial
    scores: Mapping[str, FloatArray]
    samples: MetricSamples

    def exact(self, router: str, metric: str = "apgr") -> float:
        """Return a metric on all prompts."""
        found = routing_metrics(
            self.scores[router], weak_quality=self.trial.weak, strong_quality=self.trial.strong
        )
        return float(getattr(found, metric))

    def records(self) -> list[MetricRecord]:
        """Return the figures that the manifest keeps."""
        return [
            MetricRecord(
                benchmark=self.trial.name,
                metric=f"{router} {metric}",
                value=self.exact(router, metric),
                low=(interval := self.samples.interval(router, metric)).low,
                high=interval.high,
                n_prompts=len(self.trial.prompts),
            )
            for router in SHOWN
            for metric in METRICS
        ]

    def calibration_slope(self) -> Interval:
        """Return how much the chance to win rises with the win probability; 1 where it is right.

        By least squares; the interval is normal, its variance that of White (1980).
        """
        around = self.scores[DEFAULT] - self.scores[DEFAULT].mean()
        wins = (1.0 + self.gaps()) / 2.0
        slope = float(around @ wins / (around @ around))
        residuals = wins - wins.mean() - slope * around
        error = float(np.sqrt((around**2) @ residuals**2) / (around @ around))
        return slope, slope - 1.96 * error, slope + 1.96 * error

    def gaps(self) -> FloatArray:
        """Return strong less weak quality, on the scale [0, 1], shape (n_prompts,)."""
        low, high = _MT_BENCH_RANGE if self.trial.name == "mt-bench" else (0.0, 1.0)
        return (self.trial.strong - self.trial.weak) / (high - low)


def measure(trial: Trial, routers: Mapping[str, Router], embedder: Embedder) -> Measured:
    """Score a trial by some routers and by the baselines.

    These are its prompts' lengths, ridge on the trial's own labels in ten folds, and the oracle.
    """
    weak, strong = trial.weak, trial.strong
    scores = {
        **{name: one.win_probabilities(trial.prompts) for name, one in routers.items()},
        LENGTH: LengthRouter().win_probabilities(trial.prompts),
        OWN_LABELS: own_label_ranks(trial.prompts, strong - weak, embedder),
        ORACLE: oracle_scores(weak_quality=weak, strong_quality=strong),
    }
    samples = bootstrap_metrics(
        scores, weak_quality=weak, strong_quality=strong, group_codes=trial.groups, seed=SEED
    )
    return Measured(trial, scores, samples)


def mean_over_sets(measured: Sequence[Measured], router: str, other: str | None = None) -> Interval:
    """Return the mean APGR over sets of equal weight, or what it is ahead of another router.

    The pairs of a set are averaged first. Prompts are resampled; the sets are as they are.
    """

    def ahead(one: Measured) -> tuple[float, FloatArray]:
        exact, samples = one.exact(router), one.samples.samples(router)
        if other is None:
            return exact, samples
        return exact - one.exact(other), samples - one.samples.samples(other)

    by_set: dict[str, list[tuple[float, FloatArray]]] = {}
    for one in measured:
        by_set.setdefault(one.trial.set_name, []).append(ahead(one))
    exact = np.mean([np.mean([value for value, _ in pairs]) for pairs in by_set.values()])
    samples = np.mean(
        [np.mean([drawn for _, drawn in pairs], axis=0) for pairs in by_set.values()], axis=0
    )
    interval = percentile_interval(samples, level=0.95)
    return float(exact), interval.low, interval.high


def mixture(measured: Sequence[Measured], routers: Sequence[str]) -> dict[str, Interval]:
    """Return the APGR on a mixture: 150 prompts of each set of `MIXED`, drawn 1,000 times."""
    first = {one.trial.set_name: one for one in reversed(measured)}
    parts = [first[name] for name in MIXED]
    generator = np.random.default_rng(SEED)
    drawn: dict[str, list[float]] = {name: [] for name in routers}
    for _ in range(N_MIXTURES):
        rows = [generator.integers(len(one.trial.prompts), size=N_OF_EACH) for one in parts]
        gaps = np.concatenate([one.gaps()[own] for one, own in zip(parts, rows, strict=True)])
        for name in routers:
            scores = np.concatenate(
                [one.scores[name][own] for one, own in zip(parts, rows, strict=True)]
            )
            found = routing_metrics(scores, weak_quality=np.zeros_like(gaps), strong_quality=gaps)
            drawn[name].append(found.apgr)
    return {
        name: (float(np.mean(values)), *np.quantile(values, [0.025, 0.975]).tolist())
        for name, values in drawn.items()
    }
