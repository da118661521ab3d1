"""Size that a Parquet file says it unpacks to, read from its footer before it is unpacked.

The footer is a struct in Thrift's compact protocol: each field begins with a byte that holds the
distance to the last field's number and the type, numbers are varints, structs end with a 0.

References:
    Apache Parquet format, parquet.thrift: FileMetaData, RowGroup; Thrift compact protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MAGIC: Final = b"PAR1"
_MAX_FOOTER_BYTES: Final = 2**24
"""Far more than any that we met; reading it takes a second per MiB."""

_ROW_GROUPS, _TOTAL_BYTE_SIZE = 4, 2  # fields of FileMetaData, and of RowGroup
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY = (1, 2), 3, (4, 5, 6), 7, 8
_LISTS, _STRUCT = (9, 10), 12


def unpacked_bytes(path: Path) -> int:
    """Return the size of all row groups without compression, as the footer has it.

    Values that repeat are still stored once in it, so a table in memory may be larger.

    Raises:
        ValueError: If that is no Parquet footer.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        n_bytes = file.seek(0, 2)
        file.seek(max(0, n_bytes - 8))
        tail = file.read(8)
        n_footer = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC or not 0 < n_footer <= min(n_bytes - 8, _MAX_FOOTER_BYTES):
            raise ValueError("no footer of a Parquet file")
        file.seek(n_bytes - 8 - n_footer)
        thrift = _Thrift(file.read(n_footer))
    try:
        return sum(_group_sizes(thrift))
    except (IndexError, RecursionError):
        raise ValueError("the footer of a Parquet file is cut off") from None


def _group_sizes(thrift: "_Thrift") -> Iterator[int]:
    for field, kind in thrift.fields():
        if field != _ROW_GROUPS or kind not in _LISTS:
            thrift.skip(kind)
            continue
        n_groups, _ = thrift.list_head()
        for _ in range(n_groups):
            for part, part_kind in thrift.fields():
                if part == _TOTAL_BYTE_SIZE and part_kind in _INTEGERS:
                    yield thrift.integer()
                else:
                    thrift.skip(part_kind)


@dataclass
class _Thrift:
    """A reader of the compact protocol; running off the end is an IndexError."""

    content: bytes
    place: int = 0

    def byte(self) -> int:
        self.place += 1
        return self.content[self.place - 1]

    def varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 63:
                return value

    def integer(self) -> int:
        """Read a signed number: zigzag."""
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def list_head(self) -> tuple[int, int]:
        """Read the number and the type of a list's elements."""
        head = self.byte()
        return (self.varint() if head >> 4 == 15 else head >> 4), head & 0x0F

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and the type of each field of a struct; read or skip it meanwhile."""
        field = 0
        while (head := self.byte()) != 0:
            field = field + (head >> 4) if head >> 4 else self.integer()
            yield field, head & 0x0F

    def skip(self, kind: int, *, in_list: bool = False) -> None:
        """Pass over a value."""
        if self.place > len(self.content):
            raise IndexError
        if kind in _BOOLEANS:
            self.place += in_list  # of a struct's field, the type is the value
        elif kind == _BYTE:
            self.place += 1
        elif kind in _INTEGERS:
            self.varint()
        elif kind == _DOUBLE:
            self.place += 8
        elif kind == _BINARY:
            n_bytes = self.varint()  # before the place is read: it moves it
            self.place += n_bytes
        elif kind in _LISTS:
            n_values, inner = self.list_head()
            for _ in range(n_values):
                self.skip(inner, in_list=True)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        else:
            raise ValueError(f"type {kind} in the footer of a Parquet file")
