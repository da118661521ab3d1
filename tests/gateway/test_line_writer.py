"""Lines to a stream, beside whoever logs."""

import io
import threading
from queue import SimpleQueue

import pytest

from routecast.gateway import line_writer
from routecast.gateway.line_writer import LineWriter


class Slow(io.StringIO):
    """Takes nothing until it is released, and counts what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.blocked, self.release = threading.Event(), threading.Event()
        self.n_writes = 0

    def write(self, text: str) -> int:
        self.n_writes += 1
        self.blocked.set()
        self.release.wait(10)
        return super().write(text)


def test_lines_that_wait_are_written_at_once_in_order() -> None:
    stream = Slow()
    stream.release.set()
    writer = LineWriter(stream)
    numbers = [str(number) for number in range(100)]
    for number in numbers:
        assert writer.add(number)
    writer.close()
    assert stream.getvalue().splitlines() == numbers
    assert stream.n_writes < 100


def test_a_line_is_written_within_a_moment() -> None:
    written: SimpleQueue[str] = SimpleQueue()

    class Telling(io.StringIO):
        def write(self, text: str) -> int:
            written.put(text)
            return len(text)

    writer = LineWriter(Telling())
    for number in range(3):
        writer.add(str(number))
        assert written.get(timeout=30) == f"{number}\n"  # without a close
    writer.close()


def test_a_stream_that_blocks_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "MAX_WAITING", 3)
    monkeypatch.setattr(line_writer, "GATHERING_S", 0.0)
    stream = Slow()
    writer = LineWriter(stream)
    writer.add("first")
    assert stream.blocked.wait(10)
    assert [writer.add("more") for _ in range(5)] == [True, True, True, False, False]
    stream.release.set()
    writer.close()
    assert stream.getvalue().split() == ["first", "more", "more", "more"]


def test_lines_of_many_threads_are_all_written() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)

    def add(name: int) -> None:
        for number in range(200):
            writer.add(f"{name}-{number}")

    threads = [threading.Thread(target=add, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert len(set(stream.getvalue().splitlines())) == 800


@pytest.mark.parametrize("is_blocked", [False, True])
def test_a_stream_that_is_of_no_use_is_no_error(
    is_blocked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_writer, "_LAST_WRITE_S", 0.1)
    stream = Slow()
    if not is_blocked:
        stream.close()
    writer = LineWriter(stream)
    writer.add("lost")
    writer.close()  # while the stream is blocked
    stream.release.set()
