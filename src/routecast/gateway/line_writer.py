"""Lines to a stream, written by a thread, all that wait at once.

A slow terminal or a full pipe holds up nobody who logs, and a thread that is woken for every line
would take turns with the event loop: so it wakes, lets lines gather for a moment, and writes them.
"""

import threading
from collections import deque
from contextlib import suppress
from typing import Final, TextIO

GATHERING_S: Final = 0.05
"""How long the first of some lines waits for others."""

MAX_WAITING: Final = 10_000
"""Lines; more are not taken."""

_LAST_WRITE_S: Final = 2.0  # a stream that takes nothing for so long gets no more


class LineWriter:
    """Writes lines in the order in which they were given."""

    def __init__(self, stream: TextIO) -> None:
        """Start the thread.

        Args:
            stream: Where to; once it is broken, lines are lost.
        """
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._is_awake = False
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def add(self, line: str) -> bool:
        """Take a line, without its end; False if too many wait already."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(line)
        if not self._is_awake:
            self._is_awake = True
            self._wake.set()
        return True

    def close(self) -> None:
        """Write what waits, and stop."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_LAST_WRITE_S)

    def _run(self) -> None:
        while not self._closing.is_set() or self._waiting:
            self._wake.wait()
            self._closing.wait(GATHERING_S)
            self._wake.clear()
            self._is_awake = False  # from here on, who adds a line wakes the thread again
            lines = []
            while self._waiting:
                lines.append(self._waiting.popleft())
            with suppress(OSError, ValueError):
                self._stream.write("".join(f"{line}\n" for line in lines))
                self._stream.flush()
