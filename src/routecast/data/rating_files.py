"""Ratings from a file: comparisons, which are rated here, or a leaderboard, which has them.

The columns tell the two apart. Prompts are not needed, and not read.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from routecast.data.ratings import RatedModel, rate_models
from routecast.data.tiers import TierTable
from routecast.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    import polars as pl

WINNER_OUTCOMES = {
    "model_a": 1.0,
    "model_b": 0.0,
    "tie": 0.5,
    "tie (bothbad)": 0.5,
    "both_bad": 0.5,
}
"""Outcome per label of a ``winner`` column; an answer that both got wrong is a tie."""

WHOLE_BOARDS = ("overall", "full")
"""Categories that hold all of a leaderboard, taken when the caller names none."""

_ENDINGS = (".parquet", ".jsonl", ".csv")
_INTERVALS = (("rating_low", "rating_high"), ("q025", "q975"), ("rating_q025", "rating_q975"))
_COMPARISON_COLUMNS = ("model_a", "model_b", "outcome", "winner", "weight")
_BOARD_COLUMNS = ("model", "rating", "category", *(name for pair in _INTERVALS for name in pair))
_ACCEPTED = (
    "comparisons have 'model_a', 'model_b' and 'outcome' or 'winner'; "
    "a leaderboard has 'model' and 'rating'"
)


@dataclass(frozen=True, kw_only=True)
class FileRatings:
    """Rated models and where they are from.

    Attributes:
        models: Each name once.
        source: What the file held.
        category: The category of the leaderboard; None where it has none, and for comparisons.
        n_self_comparisons: Rows left out because they compare a model with itself.
    """

    models: tuple[RatedModel, ...]
    source: Literal["comparisons", "leaderboard"]
    category: str | None = None
    n_self_comparisons: int = 0


def read_ratings(path: Path, *, category: str | None = None) -> FileRatings:
    """Read a Parquet, JSONL or CSV file and rate its models.

    Comparisons have the columns ``model_a``, ``model_b``, ``outcome`` in [0, 1] or ``winner`` (a
    key of `WINNER_OUTCOMES`; not read beside ``outcome``), and optionally ``weight``. A leaderboard
    has ``model``, ``rating``, and optionally ``category`` and a 95% interval (``q025``, ``q975``).
    Other columns are ignored.

    Args:
        path: The file, told by its ending.
        category: Which part of a leaderboard. When None: the only one there is, or the first of
            `WHOLE_BOARDS` that the file has.

    Raises:
        DataError: If the file, a column, a category or a value is not usable; a value is named by
            row, counted from 1 without the header.
        MissingExtraError: If polars is not installed.
    """
    with _naming_what_fails(path):
        lazy = _scan(path)
        present = lazy.collect_schema().names()
        columns = set(present)
        if {"model_a", "model_b"} <= columns and columns & {"outcome", "winner"}:
            _refuse_category(category, f"{path} holds comparisons, which have none")
            return _rate_comparisons(_collect(lazy, _COMPARISON_COLUMNS), str(path))
        if {"model", "rating"} <= columns:
            return _read_leaderboard(_collect(lazy, _BOARD_COLUMNS), str(path), category)
    raise DataError(f"{path} has the columns {present[:20]!r}; {_ACCEPTED}")


def _refuse_category(category: str | None, reason: str) -> None:
    if category is not None:
        raise DataError(f"category {category!r} was asked for, but {reason}; leave --category out")


def _rate_comparisons(table: "pl.DataFrame", source: str) -> FileRatings:
    column = "outcome" if "outcome" in table.columns else "winner"
    outcomes = _numbers(table, column, source) if column == "outcome" else _winners(table, source)
    weights = _numbers(table, "weight", source).to_numpy() if "weight" in table.columns else None
    model_a, model_b = (_names(table, name, source) for name in ("model_a", "model_b"))
    models = rate_models(model_a, model_b, outcomes.to_numpy(), weights=weights, source=source)
    n_self = sum(a == b for a, b in zip(model_a, model_b, strict=True))
    return FileRatings(models=models, source="comparisons", n_self_comparisons=n_self)


def _read_leaderboard(table: "pl.DataFrame", source: str, category: str | None) -> FileRatings:
    table = table.with_row_index("row", offset=1)
    if "category" in table.columns:
        category = _choose_category(table, source, category)
        table = table.filter(table["category"].cast(str) == category)
    else:
        _refuse_category(category, f"{source} has no column 'category'")
    names = _names(table, "model", source)
    ratings = _numbers(table, "rating", source).to_list()
    lows, highs = _intervals(table)
    models = [
        RatedModel(model=name, rating=rating, rating_low=low, rating_high=high)
        for name, rating, low, high in zip(names, ratings, lows, highs, strict=True)
    ]
    return FileRatings(models=tuple(models), source="leaderboard", category=category)


def _choose_category(table: "pl.DataFrame", source: str, category: str | None) -> str:
    known = table["category"].drop_nulls().cast(str).unique().sort().to_list()
    whole = [name for name in WHOLE_BOARDS if name in known]
    if category in known:
        return str(category)
    if category is None and (len(known) == 1 or whole):
        return str(known[0] if len(known) == 1 else whole[0])
    wanted = "no category was named" if category is None else f"there is no category {category!r}"
    raise DataError(f"{wanted} for {source}; give --category with one of {known!r}")


def _intervals(table: "pl.DataFrame") -> tuple[Sequence[float | None], Sequence[float | None]]:
    for low, high in _INTERVALS:
        if {low, high} <= set(table.columns):
            lows, highs = (table[name].cast(float, strict=False) for name in (low, high))
            return lows.fill_nan(None).to_list(), highs.fill_nan(None).to_list()
    return [None] * table.height, [None] * table.height


def _winners(table: "pl.DataFrame", source: str) -> "pl.Series":
    import polars as pl

    labels = table["winner"].cast(str, strict=False)
    outcomes = labels.replace_strict(WINNER_OUTCOMES, default=None, return_dtype=pl.Float64)
    _refuse_null(table, "winner", outcomes, source, f"one of {list(WINNER_OUTCOMES)!r}")
    return outcomes


def _names(table: "pl.DataFrame", column: str, source: str) -> list[str]:
    names = table[column].cast(str, strict=False)
    _refuse_null(table, column, names, source, "a model's name")
    return names.to_list()


def _numbers(table: "pl.DataFrame", column: str, source: str) -> "pl.Series":
    numbers = table[column].cast(float, strict=False).fill_nan(None)
    _refuse_null(table, column, numbers, source, "a finite number")
    return numbers


def _refuse_null(
    table: "pl.DataFrame", column: str, parsed: "pl.Series", source: str, accepted: str
) -> None:
    """Name the first value that could not be parsed, by its row in the file."""
    position = parsed.is_null().arg_max()
    if position is not None and parsed[position] is None:
        row = table["row"][position] if "row" in table.columns else position + 1
        value = table[column][position]
        raise DataError(f"{source}, row {row}: {column} {value!r} is not accepted; give {accepted}")


def _polars(feature: str) -> ModuleType:
    try:
        import polars as pl
    except ModuleNotFoundError as error:
        raise MissingExtraError(feature, "lab") from error
    return pl


def _scan(path: Path) -> "pl.LazyFrame":
    import polars as pl

    if not path.is_file():
        raise DataError(f"file {str(path)!r} does not exist; give a Parquet, JSONL or CSV file")
    match path.suffix.lower():
        case ".parquet":
            return pl.scan_parquet(path)
        case ".jsonl":
            return pl.scan_ndjson(path, infer_schema_length=None)
        case ".csv":
            return pl.scan_csv(path, infer_schema=False)  # texts, so that a bad number is named
        case ending:
            raise DataError(f"{str(path)!r} ends in {ending!r}; accepted are {_ENDINGS!r}")


def _collect(lazy: "pl.LazyFrame", wanted: Sequence[str]) -> "pl.DataFrame":
    present = lazy.collect_schema().names()
    return lazy.select([name for name in wanted if name in present]).collect()


@contextmanager
def _naming_what_fails(path: Path) -> Iterator[None]:
    """Turn what polars cannot read into an error that names the file, and the line where it can."""
    pl = _polars("reading ratings from a file")
    try:
        yield
    except pl.exceptions.PolarsError as error:
        if path.suffix.lower() == ".jsonl":
            _refuse_bad_line(path)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read: {reason}") from error


def _refuse_bad_line(path: Path) -> None:
    """Name the first line that is not a JSON object, if there is one."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                ok = not line.strip() or isinstance(json.loads(line), dict)
            except json.JSONDecodeError:
                ok = False
            if not ok:
                raise DataError(f"{path}, line {number}: not a JSON object; give one on each line")


def write_tiers(table: TierTable, path: Path) -> None:
    """Write one row per model, strongest first, as Parquet, JSONL or CSV, told by the ending.

    The columns are those of `TierTable.rows`, so that `read_ratings` takes the file as a
    leaderboard. The file appears whole or not at all; one that is there is replaced.

    Raises:
        DataError: If the ending is none of the three, or the file cannot be written.
        MissingExtraError: If polars is not installed.
    """
    pl = _polars("writing tiers")
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise DataError(f"{str(path)!r} ends in {ending!r}; accepted are {_ENDINGS!r}")
    rows = pl.DataFrame(table.rows(), infer_schema_length=None)
    partial = path.with_name(f".{path.name}.partial")
    write = {
        ".parquet": rows.write_parquet,
        ".jsonl": rows.write_ndjson,
        ".csv": rows.write_csv,
    }[ending]
    try:
        write(partial)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error
