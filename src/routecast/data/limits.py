"""How much of a file is taken in at once, and how it is written: set once, at the edge."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

MIB: Final = 2**20
MAX_ROW_MIB: Final = 64


@dataclass(frozen=True, kw_only=True)
class FileRules:
    """Rules for every file that a command reads or writes.

    Attributes:
        max_row_mib: The largest row, in MiB; a ``.json`` file, which is one value, may have 4 times
            as much, and a table may unpack to 8 times as much, or to 200 times its own size.
        spreadsheet_safe: Whether texts that a spreadsheet would run are written to CSV behind an
            apostrophe.
    """

    max_row_mib: int = MAX_ROW_MIB
    spreadsheet_safe: bool = False

    @property
    def max_row_bytes(self) -> int:
        """The largest row, in bytes."""
        return self.max_row_mib * MIB

    @property
    def max_json_bytes(self) -> int:
        """The largest ``.json`` file."""
        return 4 * self.max_row_bytes

    def max_unpacked_bytes(self, n_bytes: int) -> int:
        """Return what a packed file of ``n_bytes`` may unpack to."""
        return max(8 * self.max_row_bytes, 200 * n_bytes)


_RULES: Final = FileRules()
FILE_RULES: Final[ContextVar[FileRules]] = ContextVar("FILE_RULES", default=_RULES)
"""Set by the command line."""

RAISE_LIMIT: Final = "if it is meant to be so large, raise the limit: routecast --max-row-mib N ..."
"""End of a message about a file that is too large."""

RUN_BY_SPREADSHEETS: Final = re.compile(r"^[=+\-@\t\r]")
"""Begins texts that spreadsheets take for formulas."""


def safe_for_spreadsheets(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run, which then shows it as text."""
    return f"'{text}" if RUN_BY_SPREADSHEETS.match(text) else text
