"""The sentences that a report begins with."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from routecast.evaluate.report_headline import headline_of, random_share
from routecast.evaluate.study import Figure, Study

Maker = Callable[..., Study]


def with_figures(study: Study, **figures: float) -> Study:
    """Give the first router exactly these figures, and leave out the other asked ones."""
    [first, *rest] = study.routers
    metrics = {
        name: Figure(value=one, low=one - 0.1, high=one + 0.1) for name, one in figures.items()
    }
    kept = tuple(router for router in rest if router.is_baseline)
    return replace(study, routers=(replace(first, metrics=metrics), *kept), differences=())


@pytest.fixture
def plain(study_maker: Maker) -> Study:
    """Weak .5, strong .8: 95% of strong is .76, so a random order needs .26 / .3 of the calls."""
    weak, strong = np.repeat([0.0, 1.0], 5), np.repeat([0.0, 1.0], [2, 8])
    return study_maker(n_prompts=10, qualities=(weak, strong), with_costs=False)


def test_the_title_says_how_many_calls_keep_95_percent_and_what_random_needs(plain: Study) -> None:
    headline = headline_of(with_figures(plain, calls_95=0.62))
    assert headline.title == (
        "router-0 keeps 95% of lab/strong-model’s quality with 62.0% [52.0, 72.0] of its calls; "
        "a random choice needs 86.7%."
    )
    assert headline.strong_share == 0.62


def test_where_the_weak_model_is_good_enough_the_title_asks_for_more(plain: Study) -> None:
    headline = headline_of(with_figures(plain, calls_95=0.0, calls_98=0.31))
    assert "keeps 98% of" in headline.title


def test_without_figures_of_calls_the_title_speaks_of_the_gap(plain: Study) -> None:
    headline = headline_of(with_figures(plain, cpt_80=0.7, cpt_50=0.4))
    assert "recovers 80% of the quality gap" in headline.title
    assert "a random choice needs 80.0%" in headline.title
    assert random_share("cpt_50", plain) == 0.5


def test_the_best_of_several_routers_is_named_as_such(study_maker: Maker) -> None:
    study = study_maker(n_routers=3, with_costs=False)
    assert "best of 3 routers" in headline_of(study).details[0]


def test_a_difference_that_may_be_chance_is_called_that(study: Study) -> None:
    text = " ".join(headline_of(study).details)
    assert "better than random by more than chance (Holm-corrected p < 0.001)" in text
    assert "difference to length may be chance (Holm-corrected p = 0.620)" in text


def test_the_bill_at_the_titles_share_is_stated(study: Study) -> None:
    assert any("per 1,000 prompts instead of $" in one for one in headline_of(study).details)


def test_models_that_tie_or_are_swapped_are_said_to_be(odd_studies: Mapping[str, Maker]) -> None:
    assert "equally good" in headline_of(odd_studies["models that tie"]()).title
    assert (
        "the weak model, is better"
        in headline_of(odd_studies["a weak model that is better"]()).title
    )


def test_every_unusual_study_has_a_headline(odd_study: Study) -> None:
    headline = headline_of(odd_study)
    assert headline.title.endswith(".")
    assert 0 <= headline.strong_share <= 1
    assert "nan" not in headline.title + " ".join(headline.details)
