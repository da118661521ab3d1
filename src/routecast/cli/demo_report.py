"""Output of `routecast demo`: plain text of at most 80 columns."""

import json
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import numpy as np

from routecast.demo.chart import Line, draw_chart
from routecast.demo.questions import MODEL_NAMES, PRICES, SHORT_NAMES

if TYPE_CHECKING:
    from routecast.calibrate.threshold import ThresholdChoice
    from routecast.demo.figures import Figures
    from routecast.demo.questions import Question
    from routecast.demo.result import DemoResult
    from routecast.demo.run import RoutedAnswer
    from routecast.evaluate.study import Figure

WIDTH: Final = 80
N_EXAMPLES: Final = 8

_STRONG, _WEAK = SHORT_NAMES["strong"], SHORT_NAMES["weak"]
_SYMBOLS: Final = {"random": ".", "oracle": "o", "length": "-", "router": "*"}
_LEGEND: Final = (
    f"R routed   S all {_STRONG}   W all {_WEAK}",
    "* router   - longest first   . random   o oracle, who knows the grades",
)


def learned_lines(choice: "ThresholdChoice", *, elapsed_s: float) -> list[str]:
    """Say what was learned from, and where the strong model begins."""
    kept = choice.quality_share
    if kept is None:
        raise TypeError("the choice knows no quality; choose the threshold on outcomes")
    return _filled(
        f"Learned in {elapsed_s:.1f} s from {choice.n_prompts} questions of GSM8K, school "
        f"mathematics in words, with the recorded and graded answers of {_STRONG} and {_WEAK}. "
        f"Goal: {choice.goal.value:.0%} of {_STRONG}'s quality. On these questions, each scored "
        f"without its own label, {choice.strong_share.value:.0%} of the calls to {_STRONG} keep "
        f"{_percent(kept)}: from a score of {choice.cut.threshold:.3f}."
    )


def result_lines(result: "DemoResult", *, goal: float, elapsed_s: float) -> list[str]:
    """Return everything that is said of the held-out questions."""
    n_questions = len(result.graded)
    return [
        *_filled(
            f"Sent {n_questions:,} other questions through the gateway in {elapsed_s:.1f} s. "
            "Behind it two upstreams replay the recorded answers: no model was asked. Every answer "
            "was graded against the known result."
        ),
        "",
        "Right answers against US dollars per 1,000 questions",
        *_chart(result),
        *_LEGEND,
        "",
        *_filled(headline(result.figures, goal=goal)),
        *_filled(verdict(result.figures, n_questions=n_questions)),
        "",
        f"{N_EXAMPLES} of the questions, from the highest score to the lowest",
        *_examples(result),
        "",
        *_filled(
            f"Prices: {PRICES['strong'].input:g} and {PRICES['weak'].input:g} US dollars per "
            "million tokens, as in the paper (arXiv:2406.18665, 2024), a token taken to be 4 "
            f"characters of question or answer. Models: {' and '.join(MODEL_NAMES.values())}, as "
            "recorded by RouteLLM."
        ),
    ]


def headline(figures: "Figures", *, goal: float) -> str:
    """Say in one sentence what routing kept and saved, and what a random choice would keep."""
    return (
        f"{figures.strong_share:.0%} of calls to {_STRONG} kept {_percent(figures.kept)} of its "
        f"quality (the goal was {goal:.0%}) and saved {_percent(figures.saved)} of the bill; a "
        f"random choice of as many calls would have kept {figures.random_kept.value:.0%}, the "
        f"longest questions {figures.length_kept.value:.0%}."
    )


def verdict(figures: "Figures", *, n_questions: int) -> str:
    """Say whether the differences from random and from length are more than noise."""
    return (
        f"The difference from random is {_difference(figures.over_random)}, from length "
        f"{_difference(figures.over_length)} (95% intervals, {n_questions:,} questions)."
    )


def _difference(figure: "Figure") -> str:
    value, low, high = (f"{100 * end:+.1f}" for end in (figure.value, figure.low, figure.high))
    is_noise = figure.low <= 0 <= figure.high
    return f"{value} points [{low}, {high}], {'within' if is_noise else 'beyond'} noise"


def _percent(figure: "Figure") -> str:
    return f"{figure.value:.0%} [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"


def _chart(result: "DemoResult") -> list[str]:
    """Draw the curves, and on top of them the three points that can be had by rule."""
    lines = [
        Line(
            symbol=symbol,
            x=1e3 * result.curves[name].cost_usd,
            y=result.curves[name].calls.quality,
        )
        for name, symbol in _SYMBOLS.items()
    ]
    table = result.table
    points = [
        ("W", table.weak_cost_usd.mean(), table.weak_quality.mean()),
        ("S", table.strong_cost_usd.mean(), table.strong_quality.mean()),
        ("R", result.cost_usd, result.quality),
    ]
    lines += [
        Line(symbol=symbol, x=np.array([1e3 * cost]), y=np.array([quality]))
        for symbol, cost, quality in points
    ]
    return draw_chart(lines)


def _examples(result: "DemoResult") -> list[str]:
    rows = ["score  choice   answer  question"]
    for one in result.examples(N_EXAMPLES):
        score = one.answer.win_probability
        shown = "-" if score is None else f"{score:.3f}"
        right = "right" if one.is_right else "wrong"
        start = f"{shown:>5}  {SHORT_NAMES[one.answer.model]:<8} {right:<7} "
        rows.append(start + _shortened(one.answer.prompt, WIDTH - len(start)))
    return rows


def _shortened(prompt: str, width: int) -> str:
    return textwrap.shorten(prompt, width, placeholder="...")


def _filled(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def result_as_json(result: "DemoResult", choice: "ThresholdChoice", *, address: str | None) -> str:
    """Return one JSON document; ``address`` is the gateway's, where it stays up."""
    document = {
        "questions": [
            {
                "prompt": one.answer.prompt,
                "model": one.answer.model,
                "win_probability": one.answer.win_probability,
                "is_right": one.is_right,
                "cost_usd": one.cost_usd,
            }
            for one in result.graded
        ],
        "models": MODEL_NAMES,
        "goal": {choice.goal.name: choice.goal.value},
        "threshold": choice.cut.threshold,
        "quality": result.quality,
        "cost_usd_per_1k": 1e3 * result.cost_usd,
        "figures": asdict(result.figures),
        "gateway": address,
    }
    return json.dumps(document)


def real_lines(answers: "Sequence[RoutedAnswer]", *, goal: str) -> list[str]:
    """Return a table of prompts that real models answered, and the share of strong calls."""
    rows = ["score  model   prompt"]
    for answer in answers:
        score = answer.win_probability
        start = f"{'-' if score is None else f'{score:.3f}':>5}  {answer.model:<7} "
        rows.append(start + _shortened(answer.prompt, WIDTH - len(start)))
    n_strong = sum(answer.model == "strong" for answer in answers)
    share = f"{n_strong / len(answers):.0%} of {len(answers)} prompts"
    return [
        *rows,
        *_filled(f"Strong calls: {share}, threshold {answers[-1].threshold:.4f} ({goal})"),
    ]


def real_as_json(
    answers: "Sequence[RoutedAnswer]", *, calibration_sample: str | None, address: str | None
) -> str:
    """Return one JSON document of prompts that real models answered."""
    document = {
        "prompts": [asdict(answer) for answer in answers],
        "strong_share": sum(answer.model == "strong" for answer in answers) / len(answers),
        "threshold": answers[-1].threshold,
        "calibration_sample": calibration_sample,
        "gateway": address,
    }
    return json.dumps(document)


def invitation(address: str, prompt: str) -> str:
    """Say how to ask the gateway that stays up."""
    request = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
    return (
        "The gateway stays up; Ctrl-C ends it. Try:\n"
        f"  curl -i {address}/v1/chat/completions -H 'content-type: application/json' "
        f"-d {shlex.quote(json.dumps(request))}"
    )


def shortest_prompt(questions: "Sequence[Question]") -> str:
    """Return what is quickest to read of what the upstreams have recorded."""
    return min((asked.prompt for asked in questions), key=len)
