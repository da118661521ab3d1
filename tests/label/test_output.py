"""The labels as a file of comparisons."""

from pathlib import Path

import pytest

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.sources import read_table
from routecast.errors import ConfigError, DataError
from routecast.label.asking import Answers
from routecast.label.items import Item
from routecast.label.judge import Failed, Judged
from routecast.label.output import check_output, comparison_rows, write_rows
from routecast.label.settings import JudgeSettings, Mode
from routecast.label.verdict import PairVerdict

ANSWERS = Answers(strong='right, and "so"\non', weak="wrong")


def settings(mode: Mode = "pairwise", reference_column: str | None = None) -> JudgeSettings:
    return JudgeSettings(
        strong="big",
        weak="small",
        judge="wise",
        endpoints={},
        mode=mode,
        reference_column=reference_column,
    )


def item(prompt: str) -> Item:
    messages = ({"role": "user", "content": prompt},)
    kept = {"group": "g", "source": "old", "n": 3}
    return Item(prompt=prompt, messages=messages, request=prompt, reference="four", kept=kept)


def test_a_row_is_a_comparison_with_its_answers_and_the_input_s_columns() -> None:
    verdict = PairVerdict(strong_first="A", weak_first="A")
    judged = Judged(answers=ANSWERS, outcome=0.5, verdict=verdict)
    results: list[Judged | Failed | None] = [judged, Failed("late"), None]
    items = [item("one"), item("two"), item("three")]
    rows = comparison_rows(items, results, settings(reference_column="gold"))
    assert rows == [
        {
            "group": "g",
            "source": "judge:wise",
            "n": 3,
            "prompt": "one",
            "model_a": "big",
            "model_b": "small",
            "outcome": 0.5,
            "answer|big": ANSWERS.strong,
            "answer|small": "wrong",
            "quality|big": 0.5,
            "quality|small": 0.5,
            "gold": "four",
            "judge_disagrees": True,
        }
    ]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_every_format_is_read_again_as_comparisons_and_as_outcomes_on_the_scale_from_0_to_1(
    tmp_path: Path, ending: str
) -> None:
    results = [
        Judged(answers=ANSWERS, outcome=1.0, grades=(10, 4)),
        Judged(answers=ANSWERS, outcome=0.5, grades=(1, 1)),
    ]
    items = [item('日本, "x"\ny'), item("two")]
    path = tmp_path / f"out.{ending}"
    write_rows(comparison_rows(items, results, settings("grade")), path)
    table = read_table(path)
    comparisons = Comparisons(table=table)
    assert list(comparisons.outcome) == [1.0, 0.5]
    assert comparisons.models == ("big", "small")
    outcomes = Outcomes(table=table)
    assert outcomes.prompts == [each.prompt for each in items]
    assert list(outcomes.quality("big")) == [1.0, 0.0]
    assert list(outcomes.quality("small")) == [pytest.approx(3 / 9), 0.0]  # (4 - 1) / (10 - 1)
    assert list(table["grade|small"]) == [4, 1]
    assert table["answer|big"][0] == ANSWERS.strong


def test_an_output_that_cannot_be_written_is_refused_before_it_costs_anything(
    tmp_path: Path,
) -> None:
    prompts, journal = tmp_path / "p.jsonl", tmp_path / "j.jsonl"
    check_output(tmp_path / "o.jsonl", prompts=prompts, journal=journal)
    for path in (prompts, tmp_path / "." / "j.jsonl"):
        with pytest.raises(ConfigError, match="would replace"):
            check_output(path, prompts=prompts, journal=journal)
    with pytest.raises(DataError, match="ending"):
        check_output(tmp_path / "o.xls", prompts=prompts, journal=journal)
    with pytest.raises(DataError, match="no folder"):
        check_output(tmp_path / "no" / "o.csv", prompts=prompts, journal=journal)
