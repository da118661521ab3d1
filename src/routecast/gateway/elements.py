"""The elements of a JSON array, a run at a time.

One call into a parser holds the interpreter, and with it every other request, for as long as it
takes: for 15 MB up to seconds. So no call gets more than ``MAX_RUN_BYTES``: where the elements
begin and end is found by windows, and as many whole elements as fit are then parsed together.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeVar

import numpy as np

from routecast.types import AnyArray, IntArray

MAX_RUN_BYTES: Final = 1 << 16
"""What a parser may get in one call: some 0.5 ms of its time."""

_WINDOW_BYTES = 1 << 15
_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_SPACE = b" \t\r\n"

_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1
_IS_MARK = _STEPS != 0
_IS_MARK[[_QUOTE, _COMMA]] = True
_NOWHERE = np.zeros(0, dtype=np.int64)

T = TypeVar("T")


@dataclass(frozen=True)
class Elements(Generic[T]):
    """What the elements of an array hold, read anew each time that they are iterated over.

    Attributes:
        array: JSON whose brackets are balanced and whose strings are closed; else some may be
            missing.
        read_run: Reads an array of at most ``MAX_RUN_BYTES``.
        read_large: Reads the one element of a larger run.
    """

    array: bytes
    read_run: Callable[[bytes], Sequence[T]]
    read_large: Callable[[bytes], Iterable[T]]

    def __iter__(self) -> Iterator[T]:
        """Read from the first element on."""
        for start, end in self._runs:
            yield from self._read(start, end)

    def __reversed__(self) -> Iterator[T]:
        """Read from the last element back."""
        for start, end in reversed(self._runs):
            yield from reversed(tuple(self._read(start, end)))

    @cached_property
    def _runs(self) -> list[tuple[int, int]]:
        return list(find_runs(self.array))

    def _read(self, start: int, end: int) -> Iterable[T]:
        if end - start < MAX_RUN_BYTES - 1:
            return self.read_run(b"[%b]" % self.array[start:end])
        return self.read_large(self.array[start:end].strip(_SPACE))


def find_runs(array: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the elements of an array stand, in order: some at a time, or one large one.

    Elements that stand together are joined by commas and have fewer than ``MAX_RUN_BYTES``.

    Args:
        array: As for ``Elements``.
    """
    scan = _Scan()
    begin = array.find(b"[") + 1
    for start in range(begin, len(array), _WINDOW_BYTES):
        commas = scan.find_commas(array, start)
        if len(commas) > 0:
            first, last = start + int(commas[0]), start + int(commas[-1])
            yield begin, first  # it ends what began in an earlier window
            if last > first:
                yield first + 1, last
            begin = last + 1
    end = max(array.rfind(b"]"), begin)
    if array[begin:end].strip(_SPACE):
        yield begin, end


class _Scan:
    """Finds the commas between an array's elements, one window after another."""

    def __init__(self) -> None:
        self._is_in_string = False
        self._is_escaped = False  # the first byte of the next window
        self._depth = 0

    def find_commas(self, array: bytes, start: int) -> IntArray:
        """Return the places of the commas, counted from ``start``, in the window there."""
        end = min(start + _WINDOW_BYTES, len(array))
        has_backslash = self._is_escaped or array.find(b"\\", start, end) >= 0
        if self._is_in_string and not has_backslash and array.find(b'"', start, end) < 0:
            return _NOWHERE
        window = np.frombuffer(array, np.uint8, count=end - start, offset=start)
        places = np.flatnonzero(_IS_MARK[window])
        marks = window[places]
        is_quote = marks == _QUOTE
        if has_backslash:
            is_quote[is_quote] = ~self._are_escaped(window, places[is_quote])
        is_outside = ((np.cumsum(is_quote) + self._is_in_string) & 1) == 0
        self._is_in_string ^= bool(np.count_nonzero(is_quote) & 1)
        depths = np.cumsum(np.where(is_outside, _STEPS[marks], 0)) + self._depth
        if len(depths) > 0:
            self._depth = int(depths[-1])
        commas: IntArray = places[is_outside & (marks == _COMMA) & (depths == 0)]
        return commas

    def _are_escaped(self, window: AnyArray, quotes: IntArray) -> AnyArray:
        """Return whether an odd number of backslashes stands before each quote."""
        places = np.arange(-1, len(window))
        others = np.where(np.concatenate(([False], window == _BACKSLASH)), -2, places)
        others[0] = -2 if self._is_escaped else -1
        last_others = np.maximum.accumulate(others)  # [i]: the last of another kind before i
        n_backslashes = places - last_others
        self._is_escaped = bool(n_backslashes[-1] & 1)
        are_escaped: AnyArray = (n_backslashes[quotes] & 1) == 1
        return are_escaped
