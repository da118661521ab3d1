"""Opening a table by its name, in a format that is named or guessed from the columns."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from routecast.data.batches import Batch, batch_of_rows, in_batches
from routecast.data.prompts import iter_prompts
from routecast.data.readers.context import Kind, Reading, ReadOptions
from routecast.data.readers.hub import PREFIX, open_hub
from routecast.data.readers.native import native_kind
from routecast.data.readers.registry import (
    TableFormat,
    find_format,
    guess_format,
    reader_names,
)
from routecast.data.readers.whole import read_batches
from routecast.data.sources import Keep, Source, open_file
from routecast.data.tally import Tally
from routecast.errors import ConfigError, DataError

_FLAGS = {
    "answers": "--no-answers",
    "prompt_column": "--prompt-column",
    "group_column": "--group-column",
    "quality_range": "--quality-range",
    "label_source": "--label-source",
}

BENCHMARK_FORMAT = "routellm-eval"
"""The one format that is a folder of several files."""


@dataclass(frozen=True, kw_only=True)
class OpenedTable:
    """A table that is about to be read.

    Attributes:
        source: Where the rows come from.
        table_format: How they are laid out.
        kind: The contract that they become.
        guessed: Whether the format was told by the columns.
    """

    source: Source
    table_format: TableFormat
    kind: Kind
    guessed: bool

    def read(
        self, options: ReadOptions, tally: Tally, *, keep: Keep | None = None
    ) -> tuple[Reading, Iterator[Batch]]:
        """Start to read.

        Args:
            options: How to read.
            tally: What is kept count of.
            keep: Which columns of our own files are needed; all when None.

        Raises:
            ConfigError: If an option is set that means nothing for this format.
            DataError: While reading: if the source cannot be read, or at the first bad row.
        """
        self._refuse_unused(options)
        if self.source.name.startswith(PREFIX) and self.table_format.kind == "comparisons":
            label_source = options.label_source or self.source.name.removeprefix(PREFIX)
            options = replace(options, label_source=label_source)
        reading = Reading(source=self.source, options=options, tally=tally, keep=keep)
        return reading, read_batches(self.table_format, self.kind, reading)

    def _refuse_unused(self, options: ReadOptions) -> None:
        for field in fields(ReadOptions):
            is_set = getattr(options, field.name) != field.default
            if is_set and field.name in _FLAGS and field.name not in self.table_format.options:
                taken = sorted(_FLAGS[name] for name in self.table_format.options)
                raise ConfigError(
                    f"{_FLAGS[field.name]} means nothing for format {self.table_format.name!r}; "
                    f"it takes {taken!r}"
                )


def is_benchmark(where: str | Path, format_name: str | None) -> bool:
    """Tell whether a source is, or is said to be, the folder of one of RouteLLM's benchmarks."""
    if format_name is not None:
        return format_name == BENCHMARK_FORMAT
    return not str(where).startswith(PREFIX) and Path(where).is_dir()


def open_table(
    where: str | Path, *, format_name: str | None = None, split: str | None = None
) -> OpenedTable:
    """Open a file or a data set of the Hub.

    Args:
        where: A path, or ``hf:OWNER/NAME``.
        format_name: Name of the format; guessed from the columns when None.
        split: Which split of a data set of the Hub.

    Raises:
        ConfigError: If a split is given for a file.
        DataError: If it cannot be opened, the format is unknown, or the columns tell none.
        MissingExtraError: If polars, or for the Hub ``datasets``, is not installed.
    """
    table_format = None if format_name is None else find_format(format_name)
    is_hub = str(where).startswith(PREFIX)
    if split is not None and not is_hub:
        raise ConfigError(
            f"--split {split!r} means nothing for a file; it is for {PREFIX}OWNER/NAME"
        )
    source = open_hub(str(where), split=split) if is_hub else open_file(where)
    if table_format is None:
        table_format = guess_format(source.columns) or _prompts_only(source)
    kind = table_format.kind or native_kind(source.columns)
    if kind is None:
        raise _unknown_columns(source)
    if kind == "prompts" and "messages" in source.columns and not is_hub:
        source = _source_of_prompts(Path(where), source)
    return OpenedTable(
        source=source, table_format=table_format, kind=kind, guessed=format_name is None
    )


def _prompts_only(source: Source) -> TableFormat:
    """Return the format of our own prompts, where the columns are those and no known labels."""
    if native_kind(source.columns) != "prompts":
        raise _unknown_columns(source)
    return find_format("native")


def _unknown_columns(source: Source) -> DataError:
    columns = set(source.columns)
    if {"model_a", "model_b", "winner"} <= columns or {"model", "rating"} <= columns:
        return DataError(
            f"{source.name} holds no prompts; rate and group its models with: "
            "routecast data tiers FILE"
        )
    return DataError(
        f"cannot tell the format of {source.name} by its columns {list(source.columns[:12])!r}; "
        f"name it with --format, one of {list(reader_names())!r}"
    )


def _source_of_prompts(path: Path, source: Source) -> Source:
    """Read prompts from a column of OpenAI-style messages."""

    def start(tally: Tally, _: Keep) -> Iterator[Batch]:
        n_bad = tally.bad.total()
        rows = iter_prompts(path, skip_bad=tally.skip_bad, dropped=tally.bad)
        numbered = ((row.line, {**row.columns, "prompt": row.prompt}) for row in rows)
        for batch in in_batches(numbered):
            tally.n_rows += len(batch) + tally.bad.total() - n_bad
            n_bad = tally.bad.total()
            yield batch_of_rows(batch)
        tally.n_rows += tally.bad.total() - n_bad

    return replace(source, start=start)
