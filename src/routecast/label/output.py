"""The labels as a file of comparisons that every command reads as outcomes too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from routecast.data.batches import batch_of_rows, in_batches
from routecast.data.files import file_format
from routecast.data.outcomes import ANSWER, QUALITY
from routecast.data.reading import require_polars
from routecast.data.writing import table_writer
from routecast.errors import ConfigError, DataError
from routecast.label.items import Item
from routecast.label.judge import Failed, Judged
from routecast.label.settings import JudgeSettings
from routecast.label.verdict import HIGHEST_GRADE, LOWEST_GRADE

GRADE = "grade|"


def comparison_rows(
    items: Sequence[Item], results: Sequence[Judged | Failed | None], settings: JudgeSettings
) -> list[dict[str, Any]]:
    """Return one comparison per labelled item, in order.

    The strong model is model a. Each row holds outcomes too, on the scale [0, 1]: ``quality|NAME``
    is the grade, 1 as 0 and 10 as 1, or what the model got of the verdict: the winner 1, the loser
    0, both half in a tie. ``grade|NAME`` is the grade as given. The answers are kept, so that
    another judge can be asked without paying for them again; so are the input's other columns.
    """
    return [
        _row(item, result, settings)
        for item, result in zip(items, results, strict=True)
        if isinstance(result, Judged)
    ]


def check_output(path: Path, *, prompts: Path, journal: Path) -> None:
    """Refuse an output that could not be written, before any money is spent on it.

    Raises:
        ConfigError: If it is the prompts' file or the journal.
        DataError: If its ending is not accepted or its folder is missing.
        MissingExtraError: If polars is not installed.
    """
    require_polars("writing comparisons")
    if path.resolve() in (prompts.resolve(), journal.resolve()):
        raise ConfigError(
            f"--output {str(path)!r} would replace the prompts or the journal; name another file"
        )
    file_format(path)
    if not path.resolve().parent.is_dir():
        raise DataError(f"there is no folder {str(path.parent)!r} to write to; create it first")


def write_rows(rows: Sequence[dict[str, Any]], path: str | Path) -> None:
    """Write rows as JSONL, CSV or Parquet, told by the ending; whole or not at all.

    Raises:
        DataError: If the ending is not accepted or the file cannot be written.
        MissingExtraError: If polars is not installed.
    """
    with table_writer(path) as writer:
        for numbered in in_batches(enumerate(rows, start=1)):
            writer.add(batch_of_rows(numbered))


def _row(item: Item, judged: Judged, settings: JudgeSettings) -> dict[str, Any]:
    strong, weak = settings.strong, settings.weak
    row = {
        **item.kept,
        "prompt": item.prompt,
        "model_a": strong,
        "model_b": weak,
        "outcome": judged.outcome,
        "source": f"judge:{settings.judge}",
        ANSWER + strong: judged.answers.strong,
        ANSWER + weak: judged.answers.weak,
    }
    if settings.reference_column is not None:
        row[settings.reference_column] = item.reference
    row[QUALITY + strong], row[QUALITY + weak] = judged.outcome, 1.0 - judged.outcome
    if judged.grades is not None:
        for model, grade in zip((strong, weak), judged.grades, strict=True):
            row[GRADE + model] = grade
            row[QUALITY + model] = (grade - LOWEST_GRADE) / (HIGHEST_GRADE - LOWEST_GRADE)
    if settings.mode == "pairwise":
        row["judge_disagrees"] = judged.verdict is not None and judged.verdict.disagrees
    return row
