"""What became of the rows of a source while it was read."""

from collections import Counter
from dataclasses import dataclass, field

from routecast.data.reading import Dropped, dropped_from_counts
from routecast.data.rows import BadRowError


@dataclass(kw_only=True)
class Tally:
    """Counts that a reader keeps as it goes.

    Attributes:
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.
        n_rows: Rows seen so far, those left out too.
        left_out: Good rows that are of no use here, by reason: their prompt is too short, say.
        bad: Rows that could not be read or that the contract refuses, by reason.
    """

    skip_bad: bool = False
    n_rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)

    def refuse(self, error: BadRowError) -> None:
        """Count a bad row, or raise what is wrong with it."""
        if not self.skip_bad:
            raise error
        self.bad[error.reason] += 1

    def dropped(self) -> tuple[Dropped, ...]:
        """Return everything that was left out, the bad rows last."""
        bad = {f"bad row: {reason}": n_rows for reason, n_rows in self.bad.items()}
        return dropped_from_counts({**self.left_out, **bad})
