"""A file split into train, validation and test, near-duplicates on one side."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from routecast.data.near_duplicates import DuplicateGroups, group_near_duplicates
from routecast.data.prompts import STDIN, PromptRow, iter_prompts
from routecast.data.reading import Dropped, dropped_from_counts
from routecast.data.splits import PromptSplit, split_by_prompt
from routecast.data.writing import write_rows
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError, DataError

SIDES = ("train", "validation", "test")


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

    Raises:
        ConfigError: If the fractions are not accepted.
        DataError: If the file cannot be read or holds no rows, or the folder cannot be written.
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-9:
        raise ConfigError(
            f"fractions {fractions!r}; accepted are three numbers from 0 that add up to 1"
        )
    dropped: Counter[str] = Counter()
    rows = list(iter_prompts(file, skip_bad=skip_bad, dropped=dropped))
    if not rows:
        raise DataError(f"{str(file)!r} holds no rows to split; give a file with prompts")
    split, groups = group_and_split(
        [row.prompt for row in rows], embedder, fractions=fractions, seed=seed
    )
    ending = ".jsonl" if str(file) == STDIN else Path(file).suffix.lower()
    parts = [[rows[row] for row in side] for side in (split.train, split.validation, split.test)]
    return SplitReport(
        sides=_write_sides(parts, folder, ending=ending),
        n_rows=len(rows),
        n_prompts=len(groups.labels),
        merged=groups.sizes,
        oversized=groups.oversized,
        bad=dropped_from_counts(dropped),
    )


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
    groups = group_near_duplicates(distinct, embedder.embed(distinct))
    labels = groups.labels[codes].tolist()
    split = split_by_prompt(prompts, fractions=fractions, seed=seed, groups=labels)
    return split, groups


def _write_sides(
    parts: Sequence[Sequence[PromptRow]], folder: Path, *, ending: str
) -> tuple[Side, ...]:
    """Write all sides, then put them in place, so that no side of an older split stays behind."""
    _make_folder(folder)
    sides = []
    with ExitStack() as stack:
        workspace = Path(stack.enter_context(TemporaryDirectory(dir=folder, prefix=".split-")))
        for name, part in zip(SIDES, parts, strict=True):
            if part:
                write_rows(part, workspace / f"{name}{ending}", is_typed=ending != ".csv")
        for name, part in zip(SIDES, parts, strict=True):
            target = folder / f"{name}{ending}"
            if part:
                (workspace / target.name).replace(target)
            else:
                target.unlink(missing_ok=True)
            sides.append(
                Side(
                    name=name,
                    file=str(target) if part else None,
                    n_rows=len(part),
                    n_prompts=len({row.prompt for row in part}),
                )
            )
    return tuple(sides)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the folder {str(folder)!r}: {error.strerror}; name another"
        ) from error
