"""What a manifest says of the training data and of the held-out figures."""

import math
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from routecast.artifacts import MetricRecord, Source, TrainingRecord
from routecast.data.preferences import PreferenceArrays
from routecast.train.held_out import HeldOut
from routecast.train.sources import LabelledSet


def training_record(sets: Sequence[LabelledSet], training: PreferenceArrays) -> TrainingRecord:
    """Say what was learned from, with a digest over all of it."""
    return TrainingRecord(
        digest=digest_of(training),
        n_prompts=len(np.unique(training.prompt_index)),
        n_comparisons=len(training),
        sources=tuple(
            Source(
                name=one.name,
                licence=one.licence,
                n_prompts=len(one.preferences.prompts),
                n_comparisons=len(one.preferences),
            )
            for one in sets
        ),
    )


def digest_of(preferences: PreferenceArrays) -> str:
    """Return SHA-256 over prompts, models and comparisons, in hexadecimal."""
    digest = sha256()
    for text in (*preferences.prompts, *preferences.models):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    for column in (
        preferences.prompt_index,
        preferences.model_a_index,
        preferences.model_b_index,
        preferences.outcome,
        preferences.weight,
    ):
        digest.update(column.tobytes())
    return digest.hexdigest()


def metric_records(held_out: HeldOut) -> tuple[MetricRecord, ...]:
    """Flatten the figures: ``router apgr`` on ``held out``, or ``cross-fitted``."""
    where = "cross-fitted" if held_out.is_crosswise else "held out"
    parts = (
        (where, held_out.wins),
        (where, held_out.routing),
        (f"{where}, all comparisons", held_out.battles),
    )
    return tuple(
        MetricRecord(
            benchmark=benchmark,
            metric=f"{contender} {metric}",
            value=figure.value,
            low=figure.low,
            high=figure.high,
            n_prompts=measurement.n_labels,
        )
        for benchmark, measurement in parts
        if measurement is not None
        for contender, figures in measurement.figures.items()
        for metric, figure in figures.items()
        if math.isfinite(figure.value)
    )
