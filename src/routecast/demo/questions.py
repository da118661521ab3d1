"""Real questions with two real models' recorded answers, each known to be right or wrong.

1,300 questions of GSM8K (school mathematics in words) with the answers of GPT-4 and of
Mixtral-8x7B, as RouteLLM published them; data/NOTICE has the sources and licenses, and
runs/draw_demo_questions.py drew them.
"""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from routecast.testing.simulation import n_tokens
from routecast.types import FloatArray
from routecast.upstream.prices import Price, cost_usd

QUESTIONS_FILE: Final = Path(__file__).parent / "data" / "gsm8k.jsonl.gz"

MODEL_NAMES: Final = {
    "strong": "gpt-4-1106-preview",
    "weak": "mistralai/Mixtral-8x7B-Instruct-v0.1",
}
SHORT_NAMES: Final = {"strong": "GPT-4", "weak": "Mixtral"}

PRICES: Final = {
    "strong": Price(input=24.7, output=24.7),
    "weak": Price(input=0.24, output=0.24),
}
"""US dollars per million tokens in the paper (Ong et al., 2024), which prices input as output."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A recorded answer.

    Attributes:
        text: As the model gave it.
        is_right: Whether it was graded as right.
    """

    text: str
    is_right: bool


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with what both models answered.

    Attributes:
        prompt: Its text.
        answers: By ``strong`` and ``weak``.
    """

    prompt: str
    answers: dict[str, Answer]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnswerTable:
    """Both models' answers to some questions as arrays, each of shape (n_questions,).

    Attributes:
        strong_quality: 1 where the strong model's answer is right, else 0.
        weak_quality: Likewise of the weak model's.
        strong_cost_usd: US dollars of the strong model's answer, question included.
        weak_cost_usd: Likewise of the weak model's.
    """

    strong_quality: FloatArray
    weak_quality: FloatArray
    strong_cost_usd: FloatArray
    weak_cost_usd: FloatArray

    @classmethod
    def of(cls, questions: Sequence[Question]) -> "AnswerTable":
        """Put the answers into arrays, a token per four characters, rounded up."""
        quality = {
            model: np.array([float(asked.answers[model].is_right) for asked in questions])
            for model in PRICES
        }
        cost = {
            model: np.array([recorded_cost_usd(asked, model) for asked in questions])
            for model in PRICES
        }
        return cls(
            strong_quality=quality["strong"],
            weak_quality=quality["weak"],
            strong_cost_usd=cost["strong"],
            weak_cost_usd=cost["weak"],
        )


def recorded_cost_usd(question: Question, model: str) -> float:
    """Return what a recorded answer costs, by the tokens that the replaying upstream counts."""
    return cost_usd(
        PRICES[model],
        n_input_tokens=n_tokens(len(question.prompt)),
        n_output_tokens=n_tokens(len(question.answers[model].text)),
    )


def load_questions() -> tuple[list[Question], list[Question]]:
    """Return the 300 questions to learn from, and the 1,000 held out."""
    parts: dict[bool, list[Question]] = {False: [], True: []}
    with gzip.open(QUESTIONS_FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            answers = {
                model: Answer(text=row[model], is_right=row[f"is_{model}_right"])
                for model in PRICES
            }
            parts[row["is_held_out"]].append(Question(prompt=row["prompt"], answers=answers))
    return parts[False], parts[True]
