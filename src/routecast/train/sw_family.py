"""Similarity-weighted ranking as a family of the training pipeline."""

from dataclasses import dataclass
from typing import Literal

from routecast.data.tiers import DEFAULT_N_TIERS
from routecast.errors import ConfigError
from routecast.routers.sw import PAPER_GAMMA, SHARP_GAMMA, SwSettings
from routecast.routers.sw_compressed import compress
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
        n_neighbours: Likewise; 0 for all prompts.
        background: Likewise.
        n_components: Keep the prompts by so many principal components, which is smaller and many
            times faster, and close; 0 keeps their whole vectors.
        n_tiers: Tiers that the models are grouped into by rating; with fewer different ratings,
            each is a tier.
    """

    gamma: float = PAPER_GAMMA
    normalise: Literal["train", "query"] = "train"
    n_neighbours: int = 0
    background: float = 0.0
    n_components: int = 0
    n_tiers: int = DEFAULT_N_TIERS

    def __post_init__(self) -> None:
        """Refuse what has no meaning, before anything is read."""
        self.weighting()
        if self.n_tiers < 2:
            raise ConfigError(f"n_tiers {self.n_tiers!r} is too few; accepted is 2 or more")
        if self.n_components < 0:
            raise ConfigError(
                f"n_components {self.n_components!r} is out of range; accepted is 1 or more, or 0 "
                "for whole vectors"
            )

    def weighting(self) -> SwSettings:
        """Return how similarity becomes weight."""
        return SwSettings(
            gamma=self.gamma,
            normalise=self.normalise,
            n_neighbours=self.n_neighbours or None,
            background=self.background,
        )


def fit_lesson(lesson: Lesson, options: SwOptions) -> Fit:
    """Group the models of the training comparisons into tiers, and lay the comparisons out."""
    tiers = rate_tiers(lesson.training, n_tiers=options.n_tiers, at_most=True)
    model = fit_sw(
        lesson.embeddings,
        lesson.training,
        tiers=tiers.tier_by_model,
        settings=options.weighting(),
    )
    if options.n_components:
        model = compress(model, n_components=options.n_components)
    scores = ModelScores(names=model.model_names, of=model.model_coefficients)
    margins = scores.margins(lesson.embeddings, lesson.validation)
    return Fit(
        model=model,
        validation_loss=mean_loss(margins, lesson.validation),
        scores=scores,
        record={"n_tiers": model.n_tiers},
    )


FAMILY = Family(
    name="sw",
    settings=SwOptions,
    fit=fit_lesson,
    fixed=(),
    named={"gamma": {"paper": PAPER_GAMMA, "sharp": SHARP_GAMMA}},
)
