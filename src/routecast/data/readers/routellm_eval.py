"""The evaluation data that the authors of RouteLLM published, in its own three layouts.

mmlu/       responses/mmlu_SUBJECT.csv                 prompt, then True/False per model
gsm8k/      gsm8k_responses.csv                        the same, and NAME_response
mt_bench/   question.jsonl, judgements.jsonl           GPT-4's grade per model and turn
*/          contaminated_prompts.jsonl                 eval_prompt: to be left out
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from routecast.data.files import require_file
from routecast.data.outcomes import ANSWER, QUALITY, Outcomes
from routecast.data.readers.mt_bench import mt_bench_table
from routecast.data.reading import ReadResult, dropped_from_counts, require_polars
from routecast.data.rows import csv_rows, json_objects
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_RESPONSE = "_response"
_LIST = "contaminated_prompts.jsonl"


def read_routellm_eval(folder: str | Path, *, decontaminate: bool = True) -> ReadResult[Outcomes]:
    """Read one of the three benchmarks, told by the files in its folder.

    MMLU: the subject is the ``group``. GSM8K: answers are kept as ``answer|NAME``. MT-Bench: the
    prompt is the first turn, quality is the mean of GPT-4's grades, 1 to 10, of the two turns
    (so published means arise, 8.28 and 9.21), answers are those to the first turn.

    Args:
        folder: The benchmark's folder: ``mmlu``, ``gsm8k`` or ``mt_bench``.
        decontaminate: Leave out the prompts of ``contaminated_prompts.jsonl``, as the authors
            do: 14,037 of 14,042 remain on MMLU, 1,307 of 1,319 on GSM8K, 72 of 80 on MT-Bench.

    Raises:
        DataError: If the folder has none of the layouts, or a file in it is missing or damaged.
        MissingExtraError: If polars is not installed.
    """
    polars = require_polars("reading benchmarks")
    folder = Path(folder)
    name, read = _layout(folder)
    listed = _listed_prompts(folder) if decontaminate else set()
    table = read(folder)
    later_turns = [polars.col(column) for column in ("second_turn",) if column in table.columns]
    hit = polars.any_horizontal(
        column.is_in(list(listed)) for column in (polars.col("prompt"), *later_turns)
    )
    kept = table.filter(~hit)
    outcomes = Outcomes(
        table=kept, quality_range=(1.0, 10.0) if name == "mt_bench" else (0.0, 1.0), source=name
    )
    counts = {"on the decontamination list": table.height - kept.height}
    return ReadResult(table=outcomes, dropped=dropped_from_counts(counts))


def _layout(folder: Path) -> "tuple[str, Callable[[Path], pl.DataFrame]]":
    signs: list[tuple[str, str, Callable[[Path], pl.DataFrame]]] = [
        ("mmlu", "responses", _mmlu),
        ("gsm8k", "gsm8k_responses.csv", _gsm8k),
        ("mt_bench", "judgements.jsonl", mt_bench_table),
    ]
    for name, sign, read in signs:
        if (folder / sign).exists():
            return name, read
    raise DataError(
        f"{str(folder)!r} holds no RouteLLM benchmark; it needs one of "
        f"{[sign for _, sign, _ in signs]!r}"
    )


def _listed_prompts(folder: Path) -> Collection[str]:
    path = folder / _LIST
    if not path.exists():
        raise DataError(
            f"there is no {_LIST!r} in {str(folder)!r}; copy it there, or read with "
            "decontaminate=False"
        )
    listed = set()
    for line, entry in json_objects(path):
        if not isinstance(entry.get("eval_prompt"), str):
            raise DataError(f"{_LIST}, line {line}: no text under 'eval_prompt'")
        listed.add(entry["eval_prompt"])
    return listed


def _mmlu(folder: Path) -> "pl.DataFrame":
    polars = require_polars("reading benchmarks")
    paths = sorted((folder / "responses").glob("mmlu_*.csv"))
    if not paths:
        raise DataError(f"no file 'mmlu_SUBJECT.csv' in {str(folder / 'responses')!r}")
    subjects = [
        _right_or_wrong(path).with_columns(group=polars.lit(path.stem.removeprefix("mmlu_")))
        for path in paths
    ]
    return polars.concat(subjects, how="vertical")  # type: ignore[no-any-return]


def _gsm8k(folder: Path) -> "pl.DataFrame":
    return _right_or_wrong(folder / "gsm8k_responses.csv")


def _right_or_wrong(path: Path) -> "pl.DataFrame":
    """Read a CSV of True/False per model; ``NAME_response`` becomes ``answer|NAME``."""
    polars = require_polars("reading benchmarks")
    rows = []
    for _, row in csv_rows(require_file(path)):
        if isinstance(row, DataError):
            raise row
        rows.append(row)
    table = polars.DataFrame(rows)
    if "prompt" not in table.columns:
        raise DataError(f"{path.name} has no column 'prompt' among {table.columns!r}")
    columns = [table["prompt"]]
    for column in table.columns:
        if column.endswith(_RESPONSE):
            columns.append(table[column].alias(ANSWER + column.removesuffix(_RESPONSE)))
        elif column != "prompt":
            columns.append(_truth(table[column], path).alias(QUALITY + column))
    return polars.DataFrame(columns)  # type: ignore[no-any-return]


def _truth(column: "pl.Series", path: Path) -> "pl.Series":
    known = column.is_in(["True", "False"])
    if not known.all():
        row = int((~known).arg_max() or 0)
        raise DataError(
            f"{path.name}, row {row + 1}, column {column.name!r}: {column[row]!r}; accepted is "
            "'True' or 'False'"
        )
    return column == "True"
