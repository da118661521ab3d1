"""Checks of a manifest and its arrays before anything is scored with them.

Digests find damage; these checks find what was wrong when the folder was made, by mistake or on
purpose.
"""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from routecast.artifacts.layout import (
    FORMAT_VERSION,
    HASHES,
    MAX_REFERENCES,
    N_QUANTILES,
    REFERENCES,
    check_listed_name,
)
from routecast.artifacts.records import CalibrationRecord, Manifest, OutcomesRecord, PlattRecord
from routecast.errors import ArtifactError
from routecast.types import AnyArray

_NOT_DATA = ("api_key", "base_url", "url", "endpoint", "command", "environ")
_ADDRESSES = ("http://", "https://", "env:", "file:")

MAX_LOG_ODDS = 1e6
"""Of a calibration map's slope and intercept."""

MAX_NAME_CHARS = 1000
"""Of a model or an embedder."""


def check_manifest(manifest: Manifest) -> None:
    """Refuse a manifest that no router can be used with.

    Raises:
        ArtifactError: If the format is another, a name is over-long, a count negative, the
            calibration no increasing map, the quantiles not as many as the format has, in [0, 1]
            and ascending, or what stands beside them not finite.
    """
    if manifest.format_version != FORMAT_VERSION:
        raise ArtifactError(
            f"format version {manifest.format_version!r} given; this is {FORMAT_VERSION!r}"
        )
    names = (manifest.router, manifest.embedder.name, *manifest.strong, *manifest.weak)
    for name in names:
        if not 0 < len(name) <= MAX_NAME_CHARS:
            raise ArtifactError(
                f"the name {name[:40]!r}... has {len(name):,} characters; accepted are 1 to "
                f"{MAX_NAME_CHARS:,}"
            )
        if any(unicodedata.category(character) == "Cc" for character in name):
            raise ArtifactError(f"the name {name!r} has a control character; train again")
    for name in manifest.files:
        check_listed_name(name)
    training, calibration = manifest.training, manifest.calibration
    counts = (manifest.embedder.dimension, training.n_prompts, training.n_comparisons,
              calibration.n_prompts)  # fmt: skip
    if min(counts) < 0 or calibration.n_prompts < 1:
        raise ArtifactError(
            f"a count of the manifest is too low: {min(counts)!r}; accepted is 0 or more, and 1 or "
            "more prompts of the calibration: train again"
        )
    _check_settings(manifest.settings)
    _check_calibration(calibration)


def _check_calibration(calibration: CalibrationRecord) -> None:
    try:
        calibration.map.rebuild()
    except ValueError as error:
        raise ArtifactError(
            f"the manifest's calibration map is unusable: {error}; calibrate or train again"
        ) from None
    line = calibration.map
    if isinstance(line, PlattRecord) and max(line.slope, abs(line.intercept)) > MAX_LOG_ODDS:
        raise ArtifactError(
            f"the calibration map has the slope {line.slope!r} and the intercept "
            f"{line.intercept!r}; accepted is up to {MAX_LOG_ODDS:,.0f}: calibrate or train again"
        )
    quantiles = _column("quantiles", calibration.win_probability_quantiles)
    if not (quantiles[0] >= 0 and quantiles[-1] <= 1 and (np.diff(quantiles) >= 0).all()):
        raise ArtifactError(
            "the quantiles of the win probability must ascend within [0, 1]; calibrate or train "
            "again"
        )
    if not 0 <= calibration.abstained_share < 1:
        raise ArtifactError(
            f"abstained_share {calibration.abstained_share!r} of the calibration is refused; "
            "accepted is 0 up to 1, 1 left out: calibrate again"
        )
    outcomes = calibration.outcomes
    if outcomes is None:
        return
    _check_abstained(calibration.abstained_share, outcomes)
    qualities = _column("qualities", outcomes.qualities)
    if outcomes.costs_usd_per_1k is not None:
        costs = _column("costs", outcomes.costs_usd_per_1k)
        if (costs < 0).any():
            raise ArtifactError(f"a cost is below 0: {costs.min()!r}; calibrate again")
    if not np.isfinite([outcomes.strong_quality, outcomes.weak_quality]).all():
        raise ArtifactError("the mean qualities of the calibration are not finite; calibrate again")
    _check_ends(calibration.abstained_share, outcomes, qualities)


def _check_ends(share: float, outcomes: OutcomesRecord, qualities: AnyArray) -> None:
    """Refuse mean qualities that are not those of routing all to one model."""
    fixed = outcomes.abstained
    for side, mean, scored in (
        ("strong", outcomes.strong_quality, float(qualities[0])),
        ("weak", outcomes.weak_quality, float(qualities[-1])),
    ):
        unscored = 0.0 if fixed is None else float(getattr(fixed, f"{side}_quality"))
        expected = share * unscored + (1.0 - share) * scored
        if not np.isclose(mean, expected, rtol=1e-6, atol=1e-6):
            raise ArtifactError(
                f"{side}_quality {mean!r} of the calibration is not what its qualities say, "
                f"{expected!r}; calibrate again"
            )


def _check_settings(settings: object, key: str = "settings") -> None:
    """Refuse settings that name a secret or an address: a router's folder is data."""
    if isinstance(settings, dict):
        for name, value in settings.items():
            _check_settings(value, str(name))
    elif isinstance(settings, list):
        for value in settings:
            _check_settings(value, key)
    elif key in _NOT_DATA or (isinstance(settings, str) and settings.startswith(_ADDRESSES)):
        raise ArtifactError(
            f"the manifest's setting {key!r} names an address or a secret; whoever uses the router "
            "names these: train again"
        )


def _check_abstained(abstained_share: float, outcomes: OutcomesRecord) -> None:
    """Refuse outcomes that cannot say what prompts without a score come to."""
    fixed = outcomes.abstained
    if (fixed is None) != (abstained_share == 0):
        raise ArtifactError(
            f"abstained_share {abstained_share!r} of the calibration does not go with the outcomes "
            "of prompts without a score; calibrate again"
        )
    if fixed is None:
        return
    costs = [fixed.strong_cost_usd_per_1k, fixed.weak_cost_usd_per_1k]
    known = [cost for cost in costs if cost is not None]
    if len(known) != (0 if outcomes.costs_usd_per_1k is None else 2) or min(known, default=0) < 0:
        raise ArtifactError(
            f"the costs of prompts without a score are {costs!r}; accepted are two from 0 where "
            "the calibration has costs, and none where it has not: calibrate again"
        )
    if not np.isfinite([fixed.strong_quality, fixed.weak_quality, *known]).all():
        raise ArtifactError("the means of prompts without a score are not finite; calibrate again")


def _column(what: str, values: Sequence[float]) -> AnyArray:
    """Return what stands along the quantiles, once it is known to be whole."""
    if len(values) != N_QUANTILES:
        raise ArtifactError(f"{len(values)!r} {what} given; the format has {N_QUANTILES}")
    column = np.asarray(values, dtype=np.float64)
    if not np.isfinite(column).all():
        raise ArtifactError(f"the {what} of the calibration are not finite; calibrate again")
    return column


def check_tensors(
    tensors: Mapping[str, AnyArray],
    *,
    references: AnyArray,
    hashes: AnyArray,
    dimension: int,
) -> None:
    """Refuse arrays that no router has: of other types or shapes, or not finite.

    Args:
        tensors: The family's own; which of them there must be, and their shapes, it knows itself.
        references: Embeddings of training prompts.
        hashes: Of the training prompts.
        dimension: Of the embedder.

    Raises:
        ArtifactError: Naming the array.
    """
    n_references = len(references) if references.ndim else 0
    if n_references > MAX_REFERENCES:
        raise ArtifactError(
            f"{n_references!r} reference embeddings given; the format has at most {MAX_REFERENCES}"
        )
    if references.shape != (n_references, dimension) or references.dtype.kind != "f":
        raise ArtifactError(
            f"{REFERENCES} has the shape {references.shape!r} and the type {references.dtype}; "
            f"(n, {dimension}) of floats is accepted"
        )
    if hashes.dtype != np.uint64 or hashes.ndim != 1 or (hashes[1:] <= hashes[:-1]).any():
        raise ArtifactError(f"{HASHES} must be unsigned 64-bit integers in one ascending row")
    for name, tensor in {**tensors, REFERENCES: references}.items():
        if tensor.dtype.kind not in "fiub":
            raise ArtifactError(f"the tensor {name!r} has the type {tensor.dtype}, not of numbers")
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ArtifactError(f"the tensor {name!r} holds values that are not finite")
