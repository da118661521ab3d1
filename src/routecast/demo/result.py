"""The held-out questions after routing: every answer graded, and what that comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from routecast.demo.figures import Figures, measure_curves, measure_figures
from routecast.demo.questions import AnswerTable, Question
from routecast.demo.run import GradedAnswer
from routecast.evaluate.dollars import DollarCurve


@dataclass(frozen=True, kw_only=True, eq=False)
class DemoResult:
    """Everything that the demo shows.

    Attributes:
        graded: Every held-out question's answer, in the order sent.
        table: What both models' recorded answers to them are worth and cost.
        figures: Of routing beside random and length.
        curves: Quality against dollars, by ``random``, ``length``, ``router`` and ``oracle``.
    """

    graded: Sequence[GradedAnswer]
    table: AnswerTable
    figures: Figures
    curves: Mapping[str, DollarCurve]

    @classmethod
    def of(cls, graded: Sequence[GradedAnswer], questions: Sequence[Question]) -> "DemoResult":
        """Measure graded answers to questions, in the same order."""
        table = AnswerTable.of(questions)
        answers = [one.answer for one in graded]
        n_characters = np.array([float(len(answer.prompt)) for answer in answers])
        scores = [answer.win_probability for answer in answers]
        return cls(
            graded=graded,
            table=table,
            figures=measure_figures(
                np.array([float(answer.model == "strong") for answer in answers]),
                table,
                n_characters,
            ),
            curves=measure_curves(
                np.array([np.nan if score is None else score for score in scores]),
                table,
                n_characters,
            ),
        )

    @property
    def quality(self) -> float:
        """Share of the routed answers that are right."""
        return sum(one.is_right for one in self.graded) / len(self.graded)

    @property
    def cost_usd(self) -> float:
        """Mean US dollars of a routed answer."""
        return sum(one.cost_usd for one in self.graded) / len(self.graded)

    def examples(self, n_examples: int) -> list[GradedAnswer]:
        """Return answers at even steps from the highest score to the lowest; all have one."""
        scored = [one for one in self.graded if one.answer.win_probability is not None]
        ordered = sorted(scored, key=_score, reverse=True)
        places = np.rint(np.linspace(0, len(ordered) - 1, n_examples)).astype(int)
        return [ordered[place] for place in places.tolist()]


def _score(one: GradedAnswer) -> float:
    score = one.answer.win_probability
    return 2.0 if score is None else score
