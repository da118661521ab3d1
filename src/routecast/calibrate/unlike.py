"""Whether a sample of traffic is like what a router learned from.

A router trained on foreign traffic is close to chance, and its thresholds say little. The energy
distance between the embeddings of both says how far apart they are; a permutation test, whether
chance alone would put them so far apart.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from routecast.types import EmbeddingArray, FloatArray

MAX_PROMPTS = 512
"""Prompts of the sample that are compared; a random choice of larger ones."""

FAR = 0.025
"""Energy coefficient from which traffic counts as unlike: results/calibration.md has the figures
that it was set by."""

_SIGNIFICANT = 0.01
_N_PERMUTATIONS = 999

Verdict = Literal["alike", "different", "unlike"]


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How far a sample is from the training data.

    Attributes:
        energy_coefficient: Energy distance over twice the mean distance across, at most 1; 0 on
            average when both have one distribution, so that it may be a little below.
        p_value: Share of random splits of all prompts that are at least as far apart, in (0, 1].
        verdict: ``alike`` when chance explains the distance (p above .01), ``unlike`` when it
            does not and the coefficient is ``FAR`` or more, else ``different``.
        n_prompts: Prompts of the sample that were compared.
        n_references: Embeddings of the training data that they were compared with.
    """

    energy_coefficient: float
    p_value: float
    verdict: Verdict
    n_prompts: int
    n_references: int

    @property
    def words(self) -> str:
        """The verdict as a sentence for people."""
        return {
            "alike": "the sample is like the router's training data, as far as can be told",
            "different": "the sample differs from the router's training data, but not by much",
            "unlike": "the sample is unlike the router's training data, and routers do little "
            "better than chance on traffic they have not learned from: label some of it and train",
        }[self.verdict]


def compare_traffic(
    embeddings: EmbeddingArray, references: EmbeddingArray, *, seed: int = 0
) -> Likeness:
    """Compare a sample's embeddings with those of the training data.

    Args:
        embeddings: Of the sample's prompts, shape (n_prompts, dimension), two or more.
        references: Of training prompts, shape (n_references, dimension), two or more.
        seed: Decides the random choice of prompts and the permutations.

    Raises:
        ValueError: If either has fewer than two rows, or their dimensions differ.

    References:
        Székely and Rizzo (2013), "Energy statistics: a class of statistics based on distances",
        sections 2 (distance and coefficient) and 6 (the permutation test).
    """
    if min(len(embeddings), len(references)) < 2 or embeddings.shape[1] != references.shape[1]:
        raise ValueError(
            f"embeddings {embeddings.shape} and references {references.shape}; accepted are two "
            "rows or more of one dimension"
        )
    rng = np.random.default_rng(seed)
    if len(embeddings) > MAX_PROMPTS:
        embeddings = embeddings[rng.choice(len(embeddings), MAX_PROMPTS, replace=False)]
    distances = _distances(np.concatenate([embeddings, references]).astype(np.float64))
    in_sample = np.arange(len(distances)) < len(embeddings)
    order = np.argsort(rng.random((_N_PERMUTATIONS, len(distances))), axis=1)
    splits = np.concatenate([in_sample[None], in_sample[order]]).astype(np.float64)
    energies, coefficients = _energies(splits, distances)
    p_value = float(np.mean(energies >= energies[0] - 1e-12))
    coefficient = float(coefficients[0])
    far: Verdict = "unlike" if coefficient >= FAR else "different"
    return Likeness(
        energy_coefficient=coefficient,
        p_value=p_value,
        verdict="alike" if p_value > _SIGNIFICANT else far,
        n_prompts=len(embeddings),
        n_references=len(references),
    )


def _distances(points: FloatArray) -> FloatArray:
    """Return all Euclidean distances, shape (n_points, n_points)."""
    squares = np.einsum("ij,ij->i", points, points)
    squared = squares[:, None] + squares[None, :] - 2.0 * points @ points.T
    distances: FloatArray = np.sqrt(np.maximum(squared, 0.0))
    np.fill_diagonal(distances, 0.0)
    return distances


def _energies(splits: FloatArray, distances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return energy distance and coefficient of each split, both of shape (n_splits,).

    The distance is 2 E|X - Y| - E|X - X'| - E|Y - Y'|, the coefficient that over 2 E|X - Y|. Means
    are over pairs of different points, so that neither grows when the sample is small.

    Args:
        splits: 1 where a point is in the sample, 0 elsewhere, shape (n_splits, n_points).
        distances: Between all points, shape (n_points, n_points).
    """
    others = 1.0 - splits
    n, m = splits.sum(axis=1), others.sum(axis=1)
    to_sample = splits @ distances  # (n_splits, n_points)
    to_others = others @ distances
    across = 2.0 * np.einsum("ij,ij->i", to_sample, others) / (n * m)
    within = np.einsum("ij,ij->i", to_sample, splits) / (n * (n - 1))
    within += np.einsum("ij,ij->i", to_others, others) / (m * (m - 1))
    energies = across - within
    return energies, energies / np.where(across > 0, across, 1.0)
