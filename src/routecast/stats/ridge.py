"""Bayesian linear regression whose signal-to-noise ratio is averaged over, not chosen."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from routecast.stats.eigen import symmetric_eigen
from routecast.stats.groups import groups_of_many
from routecast.types import FloatArray, IntArray

SIGNAL_RATIOS: Final = np.geomspace(0.005, 1.5, 13)
"""Variance of the signal over that of the noise: the values that are averaged over."""

LOG_PRIOR: Final = -0.5 * (np.log(SIGNAL_RATIOS / 0.09) / 1.2) ** 2
"""How likely each is before any label: log-normal, what suits most labelled sets that are known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Variants:
    """Other forms of some rows, which are predicted as those rows are, and not learned from.

    Attributes:
        features: Shape (n_variants, n_features).
        rows: Position of the row that each is a form of, shape (n_variants,).
    """

    features: FloatArray
    rows: IntArray


@dataclass(frozen=True, kw_only=True, eq=False)
class RidgeFit:
    """A fitted line.

    Attributes:
        coefficients: Shape (n_features,).
        intercept: The target where all features are 0.
        held_out: Target of each row as predicted from the rows of other groups, shape (n_rows,).
        by_fold: The same from the rows of other folds; None without folds.
        variants_held_out: Target of each variant as predicted from the rows of other groups than
            that of its row, shape (n_variants,).
        variants_by_fold: The same from the rows of other folds; None without folds.
        signal_share: Expected share of signal in the variance of a target whose features have
            length 1, in [0, 1).
        ratio: Expected variance of the signal, at features of length 1, over that of the noise.
        prior_variance: Variance, before any target, of the signal at features of length 1.
        intercept_variance: Of the intercept, given the targets.
        lengths: Eigenvalues of features' weights features, with weights of mean 1, ascending, shape
            (n_features,).
        directions: Their eigenvectors, as columns.
    """

    coefficients: FloatArray
    intercept: float
    held_out: FloatArray
    by_fold: FloatArray | None
    variants_held_out: FloatArray
    variants_by_fold: FloatArray | None
    signal_share: float
    ratio: float
    prior_variance: float
    intercept_variance: float
    lengths: FloatArray
    directions: FloatArray


def fit_ridge(
    features: FloatArray,
    targets: FloatArray,
    *,
    weights: FloatArray,
    groups: IntArray,
    folds: IntArray | None = None,
    variants: Variants | None = None,
) -> RidgeFit:
    """Fit targets = intercept + features . coefficients + noise, averaged over noise levels.

    With t the ratio of variances, coefficients are normal with variance t s^2 and noise with s^2 /
    weight; intercept and log s have flat priors and are integrated out (Rasmussen and Williams,
    2006, equations 2.41 to 2.43 and 5.8). Each t of a fixed grid counts by its evidence and prior.

    Args:
        features: Shape (n_rows, n_features), finite.
        targets: Shape (n_rows,), three rows or more.
        weights: Positive, same shape; only their ratios matter.
        groups: Rows of one group are left out together in ``held_out``, same shape.
        folds: Rows of one fold are left out together in ``by_fold``, same shape.
        variants: Other forms of some rows; none when None.

    Returns:
        Where all targets are equal, the intercept is that value and the coefficients are 0.
    """
    roots = np.sqrt(weights / weights.mean())
    rows = features * roots[:, None]
    lengths, directions = symmetric_eigen(rows.T @ rows)
    lengths = np.maximum(lengths, 0.0)
    if variants is None:
        variants = Variants(features=features[:0], rows=np.empty(0, dtype=np.int64))
    if np.ptp(targets) == 0.0:
        n_variants = len(variants.rows)
        return _constant(targets, lengths, directions, n_variants, has_folds=folds is not None)
    turned = replace(variants, features=variants.features @ directions)
    rotated = _Rotated.of(rows @ directions, lengths, roots, targets * roots)
    log_shares = LOG_PRIOR + [rotated.log_evidence(ratio) for ratio in SIGNAL_RATIOS]
    shares = np.exp(log_shares - log_shares.max())
    shares /= shares.sum()
    solutions = [rotated.solve(ratio) for ratio in SIGNAL_RATIOS]
    noise = np.array([rotated.noise_variance(ratio) for ratio in SIGNAL_RATIOS])
    held_out, variants_held_out = rotated.left_out(shares, groups, turned)
    by_fold, variants_by_fold = (
        (None, None) if folds is None else rotated.left_out(shares, folds, turned)
    )
    signal_share = float(shares @ (SIGNAL_RATIOS / (1.0 + SIGNAL_RATIOS)))
    return RidgeFit(
        coefficients=directions @ (shares @ np.array([found for found, _ in solutions])),
        intercept=float(shares @ np.array([intercept for _, intercept in solutions])),
        held_out=held_out,
        by_fold=by_fold,
        variants_held_out=variants_held_out,
        variants_by_fold=variants_by_fold,
        signal_share=signal_share,
        ratio=signal_share / (1.0 - signal_share),
        prior_variance=float(shares @ (noise * SIGNAL_RATIOS)),
        intercept_variance=float(shares @ noise) / len(targets),
        lengths=lengths,
        directions=directions,
    )


def _constant(
    targets: FloatArray,
    lengths: FloatArray,
    directions: FloatArray,
    n_variants: int,
    *,
    has_folds: bool,
) -> RidgeFit:
    of_variants = np.full(n_variants, targets[0])
    return RidgeFit(
        coefficients=np.zeros(len(lengths)),
        intercept=float(targets[0]),
        held_out=targets.copy(),
        by_fold=targets.copy() if has_folds else None,
        variants_held_out=of_variants,
        variants_by_fold=of_variants if has_folds else None,
        signal_share=0.0,
        ratio=0.0,
        prior_variance=0.0,
        intercept_variance=0.0,
        lengths=lengths,
        directions=directions,
    )


@dataclass(frozen=True, eq=False)
class _Rotated:
    """The problem in the directions in which features are uncorrelated; rows scaled by weight.

    With M = t Z Z' + 1, the inverse is 1 - Z g Z' with g = t / (1 + t d).
    """

    features: FloatArray  # Z, (n_rows, n_features)
    lengths: FloatArray  # d, the diagonal of Z'Z
    ones: FloatArray  # the intercept's column, (n_rows,)
    targets: FloatArray
    of_ones: FloatArray  # Z' ones
    of_targets: FloatArray  # Z' targets

    @classmethod
    def of(
        cls, features: FloatArray, lengths: FloatArray, ones: FloatArray, targets: FloatArray
    ) -> "_Rotated":
        return cls(features, lengths, ones, targets, features.T @ ones, features.T @ targets)

    def _gains(self, ratio: float) -> FloatArray:
        return np.asarray(ratio / (1.0 + ratio * self.lengths))

    def _forms(self, gains: FloatArray) -> tuple[float, float, float]:
        """Return 1'M^-1 1, 1'M^-1 y and y'M^-1 y."""
        u, v = self.of_ones, self.of_targets
        return (
            float(self.ones @ self.ones - gains @ (u * u)),
            float(self.ones @ self.targets - gains @ (u * v)),
            float(self.targets @ self.targets - gains @ (v * v)),
        )

    def log_evidence(self, ratio: float) -> float:
        """Return the log of the probability of the targets, up to a constant."""
        ones, crossed, squares = self._forms(self._gains(ratio))
        residual = max(squares - crossed**2 / ones, 1e-300)
        log_determinant = np.log1p(ratio * self.lengths).sum()
        n_free = len(self.targets) - 1
        return float(-0.5 * (log_determinant + np.log(ones) + n_free * np.log(residual)))

    def solve(self, ratio: float) -> tuple[FloatArray, float]:
        """Return the expected coefficients and intercept."""
        gains = self._gains(ratio)
        ones, crossed, _ = self._forms(gains)
        intercept = crossed / ones
        return gains * (self.of_targets - intercept * self.of_ones), intercept

    def noise_variance(self, ratio: float) -> float:
        """Return the expected variance of the noise of a row of weight 1."""
        ones, crossed, squares = self._forms(self._gains(ratio))
        return max(squares - crossed**2 / ones, 0.0) / max(len(self.targets) - 3, 1)

    def left_out(
        self, shares: FloatArray, groups: IntArray, variants: Variants
    ) -> tuple[FloatArray, FloatArray]:
        """Predict rows and variants from the rows of other groups, averaged over noise levels."""
        many, counts = groups_of_many(groups), shares > 1e-3
        found = [self._left_out(ratio, many, variants) for ratio in SIGNAL_RATIOS[counts]]
        mean = shares[counts] @ np.array(found) / shares[counts].sum()
        return mean[: len(groups)], mean[len(groups) :]

    def _left_out(self, ratio: float, many: list[IntArray], variants: Variants) -> FloatArray:
        """Predict rows, then variants, from the rows of other groups.

        The fit is H y with H = Z g Z' + m m' / (1'm) and m = M^-1 1, so leaving out a group G moves
        its residuals r to (1 - H_GG)^-1 r_G. With H_GG = U U' and U narrower than G is large, that
        is r_G + U (1 - U'U)^-1 U' r_G.
        """
        gains = self._gains(ratio)
        found, intercept = self.solve(ratio)
        shadow = self.ones - self.features @ (gains * self.of_ones)  # m
        total = float(self.ones @ shadow)
        residuals = self.targets - self.features @ found - intercept * self.ones
        own_gains = np.einsum("ij,ij,j->i", self.features, self.features, gains)
        leverage = own_gains + shadow**2 / total
        moved = residuals / (1.0 - leverage)
        for rows in many:
            left = np.column_stack(
                [self.features[rows] * np.sqrt(gains), shadow[rows] / np.sqrt(total)]
            )
            if len(rows) > left.shape[1]:
                pull = np.linalg.solve(
                    np.eye(left.shape[1]) - left.T @ left, left.T @ residuals[rows]
                )
                moved[rows] = residuals[rows] + left @ pull
            else:
                moved[rows] = np.linalg.solve(np.eye(len(rows)) - left @ left.T, residuals[rows])
        # What a group's own labels did to a form x of one of its rows: h(x)_G (1 - H_GG)^-1 r_G.
        x, of = variants.features * gains, variants.rows
        shadow_x = 1.0 - x @ self.of_ones
        own = np.einsum("ij,ij->i", x, self.features[of]) + shadow_x * shadow[of] / total
        own *= moved[of]
        for rows in many:
            inside = np.isin(of, rows)
            pulled = x[inside] @ (self.features[rows].T @ moved[rows])
            own[inside] = pulled + shadow_x[inside] * (shadow[rows] @ moved[rows]) / total
        of_variants = variants.features @ found + intercept - own
        return np.concatenate([(self.targets - moved) / self.ones, of_variants])
