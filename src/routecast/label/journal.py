"""The journal: every reply that was paid for, on disk before anything else is done with it.

JSON Lines. The first line holds the settings; then, as they happen:

    {"kind": "sent", "key": ..., "at_most_usd": ...}      a call is about to be sent
    {"kind": "refused", "key": ...}                       it was refused and cost nothing
    {"kind": "reply", "key": ..., "text": ..., ...}       it was answered
    {"kind": "form", "form": ...}                         how this judge gives its verdicts

Each line ends with a checksum of the rest of it, ``"crc32": "89abcdef"``. A line that does not fit
its own is refused by its number; at the very end it is taken as torn, and left out.

A call that was sent, and neither refused nor answered, may have been billed: it counts as spent,
at its upper bound. Prompts are not in the file, only a digest of each request.
"""

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

from routecast.data.durable import sync_folder
from routecast.errors import ConfigError, DataError
from routecast.label.templates import ReplyForm
from routecast.upstream.chat import ChatReply

FORMAT = 2
"""Format 1 had no checksums."""

_CHECKED = ', "crc32": "{:08x}"}}'
_N_CHECKED = len(_CHECKED.format(0))
HEADER_START = b'{"kind": "header", "format": '


@dataclass(frozen=True, kw_only=True)
class JournalState:
    """What a journal's lines add up to.

    Attributes:
        replies: By key.
        spent_usd: Cost of all replies, and of calls whose end is unknown at their upper bound.
        form: How the judge gives its verdicts; None while nobody knows.
    """

    replies: dict[str, ChatReply]
    spent_usd: float = 0.0
    form: ReplyForm | None = None


class Journal:
    """A journal that is open for reading and appending.

    A reply is on the disk when ``note_reply`` returns; the other notes are with the operating
    system, which is enough to outlive this process.

    Attributes:
        path: Where it is.
        spent_usd: By earlier runs, as it stood when the journal was opened.
        form: How the judge gives its verdicts; None while nobody knows.
    """

    def __init__(self, path: Path, file: BinaryIO, state: JournalState) -> None:
        """Take over a file that is open for appending, and what was read from it."""
        self.path = path
        self.spent_usd = state.spent_usd
        self.form = state.form
        self._file = file
        self._replies = state.replies
        self._is_broken = False

    @property
    def n_replies(self) -> int:
        """How many replies it holds."""
        return len(self._replies)

    def find(self, key: str) -> ChatReply | None:
        """Return the reply to a request, or None when there is none yet."""
        return self._replies.get(key)

    def note_sent(self, key: str, *, at_most_usd: float) -> None:
        """Note that a call is about to be sent."""
        self._append({"kind": "sent", "key": key, "at_most_usd": at_most_usd})

    def note_refused(self, key: str) -> None:
        """Note that the call sent last for this key was refused, free of charge."""
        self._append({"kind": "refused", "key": key})

    def note_reply(self, key: str, reply: ChatReply, *, cost_usd: float) -> None:
        """Note the answer to the call sent last for this key, and have it on disk."""
        self._append(
            {"kind": "reply", "key": key, "cost_usd": cost_usd, **asdict(reply)}, sync=True
        )
        self._replies[key] = reply

    def note_form(self, form: ReplyForm) -> None:
        """Note how this judge gives its verdicts, for the runs to come."""
        self._append({"kind": "form", "form": form})
        self.form = form

    def note_header(self, settings: Mapping[str, Any]) -> None:
        """Begin the file with what its replies depend on."""
        self._append({"kind": "header", "format": FORMAT, "settings": dict(settings)}, sync=True)

    def _append(self, record: Mapping[str, Any], *, sync: bool = False) -> None:
        """Write one line at once; after a failure nothing more, so that only the end is torn."""
        line = _line(record)
        try:
            if self._is_broken or self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if sync:
                os.fsync(self._file.fileno())
        except OSError as error:
            self._is_broken = True
            raise DataError(
                f"cannot write to the journal {str(self.path)!r}: {error.strerror}; what it "
                "holds is safe: make room, and run again to go on"
            ) from error


@contextmanager
def open_journal(path: str | Path, settings: Mapping[str, Any]) -> Iterator[Journal]:
    """Open a journal, or begin one; nobody else can open it meanwhile.

    A last line that was cut off or is not whole, as a kill or a power cut leaves it, is removed. A
    journal without
    any note is begun anew.

    Args:
        path: The file; readable and writable by its owner only when it is made here.
        settings: What its replies depend on, as JSON has it.

    Raises:
        ConfigError: If the journal was written with other settings, or another run has it open.
        DataError: If it cannot be opened, or is no journal, or a line in its middle is damaged.
    """
    path = Path(path)
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", 0)
    except OSError as error:
        raise DataError(f"cannot open the journal {str(path)!r}: {error.strerror}") from error
    with file:
        _lock(file, path)
        *lines, torn = file.read().split(b"\n")
        if len(lines) > 1 and not _is_whole(lines[-1]):
            torn = lines.pop()
        if len(lines) == 1 and not torn and _is_ours(lines[0], path):
            file.truncate(0)  # nothing was asked yet, so its settings bind nobody
            lines = []
        if lines:
            _check_header(lines[0], settings, path)
            for number, line in enumerate(lines[1:], start=2):
                if not _is_whole(line):
                    raise _damaged(path, number)
        elif not HEADER_START.startswith(torn[: len(HEADER_START)]):
            raise _no_journal(path)
        state = _replay(lines[1:], path)
        if torn:
            file.truncate(sum(len(line) + 1 for line in lines))
        journal = Journal(path, file, state)
        if not lines:
            journal.note_header(settings)
            sync_folder(path.absolute().parent)
        yield journal


def _lock(file: BinaryIO, path: Path) -> None:
    """Hold the file until it is closed; where the system has no such locks, go without."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(
            f"the journal {str(path)!r} is in use by another run; wait for it, or give this run "
            "a --journal of its own"
        ) from None


def _is_ours(line: bytes, path: Path) -> bool:
    return line.startswith(HEADER_START) and _parse(line, path, 1).get("format") == FORMAT


def _check_header(line: bytes, settings: Mapping[str, Any], path: Path) -> None:
    if not line.startswith(HEADER_START):
        raise _no_journal(path)
    header = _parse(line, path, 1)
    written = header.get("settings")
    if header.get("format") != FORMAT:
        raise DataError(
            f"the journal {str(path)!r} has format {header.get('format')!r}; this version reads "
            f"{FORMAT}, with a checksum in each line: give another --journal, or finish this one "
            "with the version that began it"
        )
    if not _is_whole(line) or not isinstance(written, dict):
        raise _damaged(path, 1)
    asked = json.loads(json.dumps(dict(settings)))
    different = [name for name in {**written, **asked} if written.get(name) != asked.get(name)]
    if different:
        changes = "; ".join(
            f"{name} was {written.get(name)!r} and is now {asked.get(name)!r}" for name in different
        )
        raise ConfigError(
            f"the journal {str(path)!r} belongs to other settings: {changes}; use those, or give "
            "another --journal"
        )


def _replay(lines: list[bytes], path: Path) -> JournalState:
    """Add up the lines after the header."""
    replies: dict[str, ChatReply] = {}
    unsettled: dict[str, float] = {}
    spent_usd = 0.0
    form: ReplyForm | None = None
    for number, line in enumerate(lines, start=2):
        record = _parse(line, path, number)
        try:
            match record["kind"]:
                case "sent":
                    spent_usd += unsettled.pop(record["key"], 0.0)
                    unsettled[record["key"]] = float(record["at_most_usd"])
                case "refused":
                    unsettled.pop(record["key"], None)
                case "reply":
                    unsettled.pop(record["key"], None)
                    spent_usd += float(record["cost_usd"])
                    replies[record["key"]] = _reply(record)
                case "form" if record["form"] in ("schema", "marker"):
                    form = record["form"]
                case _:
                    raise _damaged(path, number)
        except (KeyError, TypeError, ValueError):
            raise _damaged(path, number) from None
    return JournalState(replies=replies, spent_usd=spent_usd + sum(unsettled.values()), form=form)


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:
        raise _damaged(path, number) from None
    if not isinstance(record, dict):
        raise _damaged(path, number)
    return record


def _reply(record: Mapping[str, Any]) -> ChatReply:
    return ChatReply(**{field.name: record[field.name] for field in fields(ChatReply)})


def _no_journal(path: Path) -> DataError:
    return DataError(f"{str(path)!r} is no journal of judging; give another --journal")


def _damaged(path: Path, number: int) -> DataError:
    return DataError(
        f"the journal {str(path)!r} is damaged at line {number}; remove that line to lose one "
        "call, or give another --journal"
    )


def _line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record).encode()
    return body[:-1] + _CHECKED.format(crc32(body)).encode() + b"\n"


def _is_whole(line: bytes) -> bool:
    """Tell whether a line fits its checksum."""
    body, stated = line[:-_N_CHECKED] + b"}", line[-_N_CHECKED:]
    return stated == _CHECKED.format(crc32(body)).encode()
