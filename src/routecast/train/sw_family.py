"""Similarity-weighted ranking as a family of the training pipeline."""

from dataclasses import dataclass
from typing import Literal

from routecast.data.tiers import DEFAULT_N_TIERS
from routecast.errors import ConfigError
from routecast.routers.sw import SwSettings
from routecast.train.battles import ModelScores, mean_loss
from routecast.train.registry import Family, Fit, Lesson
from routecast.train.sides import rate_tiers
from routecast.train.sw import fit_sw


@dataclass(frozen=True, kw_only=True)
class SwOptions:
    """What users may set.

    Attributes:
        gamma: See `SwSettings`.
        normalise: Likewise.
        n_tiers: Tiers that the models are grouped into by rating; with fewer different ratings,
            each is a tier.
    """

    gamma: float = 10.0
    normalise: Literal["train", "query"] = "train"
    n_tiers: int = DEFAULT_N_TIERS

    def __post_init__(self) -> None:
        """Refuse what has no meaning, before anything is read."""
        SwSettings(gamma=self.gamma, normalise=self.normalise)
        if self.n_tiers < 2:
            raise ConfigError(
                f"n_tiers {self.n_tiers!r} is too few to compare; accepted: 2 or more"
            )


def fit_lesson(lesson: Lesson, options: SwOptions) -> Fit:
    """Group the models of the training comparisons into tiers, and lay the comparisons out."""
    tiers = rate_tiers(lesson.training, n_tiers=options.n_tiers, at_most=True)
    model = fit_sw(
        lesson.embeddings,
        lesson.training,
        tiers=tiers.tier_by_model,
        settings=SwSettings(gamma=options.gamma, normalise=options.normalise),
    )
    scores = ModelScores(names=model.model_names, of=model.model_coefficients)
    margins = scores.margins(lesson.embeddings, lesson.validation)
    return Fit(
        model=model,
        validation_loss=mean_loss(margins, lesson.validation),
        scores=scores,
        record={"n_tiers": model.n_tiers},
    )


FAMILY = Family(name="sw", settings=SwOptions, fit=fit_lesson, fixed=())
