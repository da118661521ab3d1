"""Import: any format that we read, into a file that follows our contracts."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from routecast.data.batches import Batch
from routecast.data.files import file_format
from routecast.data.outcomes import QUALITY, Outcomes
from routecast.data.readers.context import Kind, ReadOptions
from routecast.data.readers.opening import BENCHMARK_FORMAT, is_benchmark, open_table
from routecast.data.readers.routellm_eval import read_routellm_eval
from routecast.data.readers.whole import nothing_left
from routecast.data.reading import Dropped, ReadResult, dropped_from_counts
from routecast.data.tally import Tally
from routecast.data.writing import table_writer, write_table
from routecast.errors import ConfigError

Watch = Callable[[int, int | None], None]
"""Called with how far the reading has come, and how far it has to go where that is known."""


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """What an import did.

    Attributes:
        source: What was read.
        output: The file that was written.
        format: Name of the format.
        guessed: Whether the columns told the format.
        kind: The contract of what was written.
        n_read: Rows of the source.
        n_written: Rows of the file.
        n_prompts: Distinct prompts of the file.
        models: Names of the models, sorted; none for prompts.
        left_out: Good rows that were left out, by reason.
        bad: Bad rows that were skipped, by reason.
        quality_range: The scale of the qualities; None where there are none.
    """

    source: str
    output: str
    format: str
    guessed: bool
    kind: Kind
    n_read: int
    n_written: int
    n_prompts: int
    models: tuple[str, ...]
    left_out: tuple[Dropped, ...] = ()
    bad: tuple[Dropped, ...] = ()
    quality_range: tuple[float, float] | None = None


@dataclass
class _Written:
    """Figures of the rows written so far; prompts are kept as 64-bit hashes."""

    n_rows: int = 0
    models: set[str] = field(default_factory=set)
    prompt_hashes: list[np.typing.NDArray[np.uint64]] = field(default_factory=list)

    def count(self, batch: Batch) -> None:
        table = batch.table
        self.n_rows += len(batch)
        if "prompt" in table.columns:
            self.prompt_hashes.append(table["prompt"].hash(seed=0).unique().to_numpy())
        if "model_a" in table.columns:
            self.models.update(table["model_a"].unique(), table["model_b"].unique())
        else:
            qualities = [name for name in table.columns if name.startswith(QUALITY)]
            self.models.update(name.removeprefix(QUALITY) for name in qualities)

    @property
    def n_prompts(self) -> int:
        return len(np.unique(np.concatenate(self.prompt_hashes))) if self.prompt_hashes else 0


def import_table(
    where: str | Path,
    output: str | Path,
    *,
    format_name: str | None = None,
    options: ReadOptions | None = None,
    skip_bad: bool = False,
    split: str | None = None,
    decontaminate: bool = True,
    watch: Watch | None = None,
) -> ImportReport:
    """Read a table in any format and write it in the columns of its contract.

    Rows pass through in batches: memory does not grow with their number. The output appears whole
    or not at all.

    Args:
        where: A file, ``hf:OWNER/NAME``, or the folder of one of RouteLLM's benchmarks.
        output: Parquet, JSONL or CSV, told by the ending; replaced if it is there.
        format_name: Name of the format; guessed when None.
        options: How to read.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.
        split: Which split of a data set of the Hub.
        decontaminate: Leave out the prompts that RouteLLM's authors list as leaked, where the
            source is one of their benchmarks.
        watch: Called after each batch.

    Returns:
        What was read, written, and left out for what reason.

    Raises:
        ConfigError: If an option means nothing for this source.
        DataError: If the source or the output is not usable, no row is left, or at the first bad
            row; the message names file, row, column, value and what is accepted.
        MissingExtraError: If polars, or for the Hub ``datasets``, is not installed.
    """
    options = options or ReadOptions()
    file_format(output)
    if is_benchmark(where, format_name):
        if options != ReadOptions():
            raise ConfigError(
                f"format {BENCHMARK_FORMAT!r} takes no options but --no-decontaminate"
            )
        result = read_routellm_eval(where, decontaminate=decontaminate)
        return _write_benchmark(result, where, output, guessed=format_name is None)
    if not decontaminate:
        raise ConfigError(f"--no-decontaminate means nothing without format {BENCHMARK_FORMAT!r}")
    opened = open_table(where, format_name=format_name, split=split)
    tally, written = Tally(skip_bad=skip_bad), _Written()
    reading, batches = opened.read(options, tally)
    with table_writer(output) as writer:
        for batch in batches:
            if len(batch):
                writer.add(batch, is_typed=opened.source.is_typed)
                written.count(batch)
                if watch is not None:
                    watch(int(batch.lines[-1]), opened.source.n_numbers)
        if not written.n_rows:
            raise nothing_left(reading)
    return ImportReport(
        source=opened.source.name,
        output=str(output),
        format=opened.table_format.name,
        guessed=opened.guessed,
        kind=opened.kind,
        n_read=tally.n_rows,
        n_written=written.n_rows,
        n_prompts=written.n_prompts,
        models=tuple(sorted(written.models)),
        left_out=dropped_from_counts(tally.left_out),
        bad=dropped_from_counts(tally.bad),
        quality_range=options.quality_range if opened.kind == "outcomes" else None,
    )


def _write_benchmark(
    result: ReadResult[Outcomes], where: str | Path, output: str | Path, *, guessed: bool
) -> ImportReport:
    outcomes = result.table
    write_table(outcomes.table, output)
    return ImportReport(
        source=Path(where).name,
        output=str(output),
        format=BENCHMARK_FORMAT,
        guessed=guessed,
        kind="outcomes",
        n_read=len(outcomes) + sum(entry.n_rows for entry in result.dropped),
        n_written=len(outcomes),
        n_prompts=outcomes.table["prompt"].n_unique(),
        models=tuple(sorted(outcomes.models)),
        left_out=result.dropped,
        quality_range=outcomes.quality_range,
    )
