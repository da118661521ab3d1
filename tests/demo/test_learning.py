import numpy as np

from routecast.demo.learning import GOAL, Learned, learn
from routecast.demo.questions import AnswerTable, Question


def test_the_threshold_meets_the_goal_on_the_questions_that_were_learned_from(
    learned: Learned,
) -> None:
    choice = learned.choice
    assert choice.n_prompts == 300
    assert choice.quality_share is not None
    assert choice.quality_share.value >= GOAL.value
    assert 0 < choice.strong_share.value < 1


def test_the_threshold_is_chosen_on_scores_that_do_not_know_their_own_labels(
    learned: Learned, learning: list[Question]
) -> None:
    table = AnswerTable.of(learning)
    scores = learned.loaded.router.win_probabilities([asked.prompt for asked in learning])
    is_strong = np.nan_to_num(scores, nan=1.0) >= learned.choice.cut.threshold
    seen = np.where(is_strong, table.strong_quality, table.weak_quality).mean()
    assert learned.choice.quality is not None
    assert seen > learned.choice.quality.value + 0.02  # scores that know them look better


def test_what_is_learned_follows_the_labels(learning: list[Question]) -> None:
    flipped = [
        Question(
            prompt=asked.prompt,
            answers={"strong": asked.answers["weak"], "weak": asked.answers["strong"]},
        )
        for asked in learning[:60]
    ]
    prompts = [asked.prompt for asked in learning[:60]]
    one, other = (learn(part).loaded.router for part in (learning[:60], flipped))
    scores, opposite = one.win_probabilities(prompts), other.win_probabilities(prompts)
    assert np.nanmean(scores) > 0.5 > np.nanmean(opposite)
