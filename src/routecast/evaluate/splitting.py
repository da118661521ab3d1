"""A file split into train, validation and test, near-duplicates on one side."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from routecast.data.batches import ROWS_PER_BATCH, batch_of_rows, in_batches
from routecast.data.durable import held_workspace, sync_folder, workspace_of
from routecast.data.files import disk_faults_told
from routecast.data.near_duplicates import DuplicateGroups, group_near_duplicates
from routecast.data.prompts import STDIN, PromptRow, iter_prompts
from routecast.data.reading import Dropped, dropped_from_counts
from routecast.data.splits import PromptSplit, split_by_prompt
from routecast.data.writing import table_writer
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError, DataError
from routecast.evaluate.scoring import Watch
from routecast.types import IntArray

SIDES = ("train", "validation", "test")
_SPLIT = "split"
"""Name that a run holds in the output folder while it writes the sides."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a split.

    Attributes:
        name: ``train``, ``validation`` or ``test``.
        file: What was written; None for a side without rows.
        n_rows: Rows of it.
        n_prompts: Different prompts of it.
    """

    name: str
    file: str | None
    n_rows: int
    n_prompts: int


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """What was split how.

    Attributes:
        sides: Train, validation and test.
        n_rows: Rows that were split.
        n_prompts: Different prompts among them.
        merged: Different prompts of each group of near-duplicates, descending.
        oversized: The same of groups that were not merged, being more than 1% of the prompts.
        bad: Bad rows that were skipped, by reason.
    """

    sides: tuple[Side, ...]
    n_rows: int
    n_prompts: int
    merged: tuple[int, ...]
    oversized: tuple[int, ...]
    bad: tuple[Dropped, ...] = ()


def split_file(
    file: str | Path,
    folder: Path,
    embedder: Embedder,
    *,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    skip_bad: bool = False,
    watch: Watch | None = None,
) -> SplitReport:
    """Split a file by prompt after near-duplicate grouping, and write the sides.

    The sides are written as ``train``, ``validation`` and ``test`` with the file's own ending, the
    rows in their order with all their columns. They replace what an earlier split left there.

    Args:
        file: Comparisons, outcomes or prompts, as Parquet, JSONL or CSV; ``-`` is JSONL from
            standard input.
        folder: Where the sides go; made if it is not there.
        embedder: Proposes near-duplicates, see `group_near_duplicates`.
        fractions: Shares of the rows; they add up to 1. Rows that stay together shift them.
        seed: Another seed gives another split.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.
        watch: Called as the work goes on.

    Raises:
        ConfigError: If the fractions are not accepted.
        DataError: If the file cannot be read or holds no rows, or the folder cannot be written.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-9:
        raise ConfigError(
            f"fractions {fractions!r}; accepted are three numbers from 0 that add up to 1"
        )
    dropped: Counter[str] = Counter()
    rows, prompts = _read(file, skip_bad=skip_bad, dropped=dropped, watch=watch)
    if not prompts:
        raise DataError(f"{str(file)!r} holds no rows to split; give a file with prompts")
    if watch is not None:
        watch("finding near-duplicates", 0, 0)
    split, groups = group_and_split(prompts, embedder, fractions=fractions, seed=seed)
    rows = _watched(rows, watch, "writing", n_total=len(prompts))
    ending = ".jsonl" if str(file) == STDIN else Path(file).suffix.lower()
    return SplitReport(
        sides=_write_sides(rows, prompts, split, folder, ending=ending),
        n_rows=len(prompts),
        n_prompts=len(groups.labels),
        merged=groups.sizes,
        oversized=groups.oversized,
        bad=dropped_from_counts(dropped),
    )


def _read(
    file: str | Path, *, skip_bad: bool, dropped: Counter[str], watch: Watch | None
) -> tuple[Iterable[PromptRow], list[str]]:
    """Return the rows, to be read once more, and their prompts: a large file is never held whole.

    Standard input is, since it cannot be read again.
    """
    rows = _watched(iter_prompts(file, skip_bad=skip_bad, dropped=dropped), watch, "reading")
    if str(file) == STDIN:
        held = list(rows)
        return held, [row.prompt for row in held]
    return iter_prompts(file, skip_bad=skip_bad), [row.prompt for row in rows]


def _watched(
    rows: Iterable[PromptRow], watch: Watch | None, stage: str, *, n_total: int = 0
) -> Iterator[PromptRow]:
    """Yield the rows, and tell how many there were so far."""
    for n_done, row in enumerate(rows):
        if watch is not None and n_done % ROWS_PER_BATCH == 0:
            watch(stage, n_done, n_total)
        yield row


def group_and_split(
    prompts: Sequence[str],
    embedder: Embedder,
    *,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int,
) -> tuple[PromptSplit, DuplicateGroups]:
    """Split rows by prompt, near-duplicates and equal prompts on one side.

    Returns:
        The split of the rows, and the groups among the different prompts, in order of first
        appearance.

    Raises:
        ValueError: As in `split_by_prompt`.
    """
    positions: dict[str, int] = {}
    codes = [positions.setdefault(prompt, len(positions)) for prompt in prompts]
    distinct = list(positions)
    groups = group_near_duplicates(
        distinct, lambda rows: embedder.embed([distinct[row] for row in rows.tolist()])
    )
    labels = groups.labels[codes].tolist()
    split = split_by_prompt(prompts, fractions=fractions, seed=seed, groups=labels)
    return split, groups


def _write_sides(
    rows: Iterable[PromptRow],
    prompts: Sequence[str],
    split: PromptSplit,
    folder: Path,
    *,
    ending: str,
) -> tuple[Side, ...]:
    """Write all sides, then put them in place, so that no side of an older split stays behind."""
    is_new = not folder.is_dir()
    _make_folder(folder)
    positions = dict(zip(SIDES, (split.train, split.validation, split.test), strict=True))
    with (
        _nothing_left(folder) if is_new else nullcontext(),
        disk_faults_told(folder),
        held_workspace(folder / _SPLIT) as workspace,
    ):
        written = {name: workspace / f"{name}{ending}" for name in SIDES if len(positions[name])}
        _write_rows(rows, prompts, written, positions)
        # A kill from here on may lose sides, and never mixes those of two splits.
        for name in SIDES:
            (folder / f"{name}{ending}").unlink(missing_ok=True)
        sync_folder(folder)
        for path in written.values():
            path.replace(folder / path.name)
    sync_folder(folder)
    return tuple(
        Side(
            name=name,
            file=str(folder / f"{name}{ending}") if name in written else None,
            n_rows=len(positions[name]),
            n_prompts=len({prompts[row] for row in positions[name].tolist()}),
        )
        for name in SIDES
    )


def _write_rows(
    rows: Iterable[PromptRow],
    prompts: Sequence[str],
    files: Mapping[str, Path],
    positions: Mapping[str, IntArray],
) -> None:
    """Send each row to the file of its side, in one pass.

    Raises:
        DataError: If the rows are not those that were split.
    """
    side_of_row = np.zeros(len(prompts), dtype=np.int8)
    for number, name in enumerate(SIDES):
        side_of_row[positions[name]] = number
    n_rows = 0
    with ExitStack() as stack:
        writers = {name: stack.enter_context(table_writer(path)) for name, path in files.items()}
        for batch in in_batches(rows, size=len(SIDES) * ROWS_PER_BATCH):
            sides = side_of_row[n_rows : n_rows + len(batch)].tolist()
            if [row.prompt for row in batch] != list(prompts[n_rows : n_rows + len(batch)]):
                raise DataError("the file changed while it was split; split it again")
            for number, name in enumerate(SIDES):
                own = [
                    (row.line, row.columns)
                    for row, side in zip(batch, sides, strict=True)
                    if side == number
                ]
                if own:
                    is_typed = files[name].suffix != ".csv"
                    writers[name].add(batch_of_rows(own), is_typed=is_typed)
            n_rows += len(batch)
    if n_rows != len(prompts):
        raise DataError("the file changed while it was split; split it again")


@contextmanager
def _nothing_left(folder: Path) -> Iterator[None]:
    """Remove a folder that was made for a split where the split fails."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        left = workspace_of(folder / _SPLIT)  # of a run that was killed, or is at it
        others = sorted(
            path.name for path in folder.iterdir() if path.stem not in SIDES and path != left
        )
        if others:
            raise DataError(
                f"{str(folder)!r} holds other things, {others[0]!r} among them; name a new folder, "
                f"or one of an earlier split, which holds {list(SIDES)!r} alone"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the folder {str(folder)!r}: {error.strerror}; name another"
        ) from error
