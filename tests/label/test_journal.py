"""The journal: nothing that was paid for is lost, and nothing else is touched."""

import json
import stat
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.errors import ConfigError, DataError
from routecast.label.journal import open_journal
from routecast.upstream.chat import ChatReply

SETTINGS = {"judge": "j", "mode": "pairwise"}
REPLY = ChatReply(text="Hé\n[[A]]", finish_reason="stop", n_input_tokens=3, n_output_tokens=None)


def write_two_replies(path: Path) -> None:
    with open_journal(path, SETTINGS) as journal:
        journal.note_sent("one", at_most_usd=0.5)
        journal.note_reply("one", REPLY, cost_usd=0.25)
        journal.note_form("marker")
        journal.note_sent("two", at_most_usd=0.5)
        journal.note_reply("two", ChatReply(text="second"), cost_usd=0.125)


def test_a_reply_is_found_again_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write_two_replies(path)
    with open_journal(path, SETTINGS) as journal:
        assert journal.find("one") == REPLY
        assert journal.find("two") == ChatReply(text="second")
        assert journal.find("three") is None
        assert journal.n_replies == 2
        assert journal.form == "marker"
        assert journal.spent_usd == 0.375


def test_every_note_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with open_journal(path, SETTINGS) as journal:
        assert path.read_bytes().count(b"\n") == 1
        journal.note_sent("k", at_most_usd=0.1)
        assert path.read_bytes().count(b"\n") == 2
        journal.note_refused("k")
        assert path.read_bytes().count(b"\n") == 3
        journal.note_reply("k", REPLY, cost_usd=0.1)
        assert path.read_bytes().count(b"\n") == 4
        journal.note_form("schema")
        assert path.read_bytes().count(b"\n") == 5


def test_spending_counts_unknown_ends_at_their_bound_and_refusals_not_at_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j"
    with open_journal(path, SETTINGS) as journal:
        journal.note_sent("a", at_most_usd=1.0)  # timed out: 1
        journal.note_sent("a", at_most_usd=1.0)
        journal.note_refused("a")  # 0
        journal.note_sent("a", at_most_usd=1.0)
        journal.note_reply("a", REPLY, cost_usd=0.25)  # 0.25
        journal.note_sent("b", at_most_usd=2.0)  # in flight when the process was killed: 2
        assert journal.spent_usd == 0.0
    with open_journal(path, SETTINGS) as journal:
        assert journal.spent_usd == 3.25
        assert journal.find("b") is None


@settings(deadline=None)
@given(st.integers(min_value=0))
def test_cut_off_anywhere_it_keeps_every_whole_line_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, n: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "j"
    write_two_replies(path)
    content = path.read_bytes()
    kept = content[: n % (len(content) + 1)]
    path.write_bytes(kept)
    n_whole_replies = sum(b'"kind": "reply"' in line for line in kept.split(b"\n")[:-1])
    with open_journal(path, SETTINGS) as journal:
        assert journal.n_replies == n_whole_replies
        journal.note_reply("three", REPLY, cost_usd=0.0)
    with open_journal(path, SETTINGS) as journal:
        assert journal.n_replies == n_whole_replies + 1
        assert journal.find("three") == REPLY


def test_a_journal_of_other_settings_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write_two_replies(path)
    before = path.read_bytes()
    with (
        pytest.raises(ConfigError, match="mode was 'pairwise' and is now 'grade'") as caught,
        open_journal(path, {**SETTINGS, "mode": "grade", "new": 1}),
    ):
        pytest.fail("it was opened")
    assert "new was None and is now 1" in str(caught.value)
    assert "judge" not in str(caught.value).partition("settings:")[2].partition(";")[0]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b'{"prompt": "mine"}\n', b'{"prompt": "no line end"}', b"plain text", b"[]\n"]
)
def test_another_file_is_refused_and_not_a_byte_of_it_changes(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no journal"), open_journal(path, SETTINGS):
        pytest.fail("it was opened")
    assert path.read_bytes() == content


def test_a_journal_without_notes_takes_new_settings(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with open_journal(path, SETTINGS):
        pass
    with open_journal(path, {**SETTINGS, "mode": "grade"}) as journal:
        assert journal.n_replies == 0
    assert json.loads(path.read_text())["settings"]["mode"] == "grade"


@pytest.mark.parametrize("n", [1, 3])
def test_another_format_is_refused(tmp_path: Path, n: int) -> None:
    path = tmp_path / "j"
    path.write_text(json.dumps({"kind": "header", "format": n, "settings": SETTINGS}) + "\n")
    with (
        pytest.raises(DataError, match=f"format {n}; this version reads 2.*the version that began"),
        open_journal(path, SETTINGS),
    ):
        pytest.fail("it was opened")


def checked(line: bytes) -> bytes:
    """Give a line the checksum that it would have had, so that only its content is wrong."""
    return line[:-1] + b', "crc32": "%08x"}' % crc32(line) if line.endswith(b"}") else line


def test_every_flipped_bit_is_refused_by_line_or_costs_the_last_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write_two_replies(path)
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for place in range(0, 8 * len(whole), 7):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        number = whole[: place // 8].count(b"\n") + 1
        if place // 8 < len(whole) - last - 1:  # the line end before the last is its own too
            with (
                pytest.raises(
                    (DataError, ConfigError), match=rf"line {number}\b|format|no journal"
                ),
                open_journal(path, SETTINGS),
            ):
                pytest.fail(f"bit {place} went unnoticed")
        else:
            with open_journal(path, SETTINGS) as journal:
                assert journal.find("one") == REPLY
                assert journal.find("two") is None
            assert whole[:-last].startswith(path.read_bytes())


def test_zeros_after_a_power_cut_are_taken_as_torn(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write_two_replies(path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(4096))
    with open_journal(path, SETTINGS) as journal:
        assert journal.n_replies == 2
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"[]",
        b"{}",
        b'{"kind": "else"}',
        b'{"kind": "form", "form": "x"}',
        b'{"kind": "sent", "key": "a", "at_most_usd": "x"}',
        b'{"kind": "reply", "key": "a", "cost_usd": 1}',
    ],
)
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "j"
    write_two_replies(path)
    header, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + checked(line) + b"\n" + b"".join(rest))
    with pytest.raises(DataError, match="damaged at line 2"), open_journal(path, SETTINGS):
        pytest.fail("it was opened")


def test_two_runs_cannot_share_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with (
        open_journal(path, SETTINGS),
        pytest.raises(ConfigError, match="in use"),
        open_journal(path, SETTINGS),
    ):
        pytest.fail("it was opened")
    with open_journal(path, SETTINGS):
        pass


def test_a_journal_is_for_its_owner_s_eyes(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write_two_replies(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot open"), open_journal(tmp_path, SETTINGS):
        pytest.fail("it was opened")


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, n_bytes: int) -> None:
        self.written = b""
        self._n_bytes = n_bytes

    def write(self, line: bytes) -> int:
        part = line[: self._n_bytes - len(self.written)]
        self.written += part
        return len(part)


def test_a_full_disk_stops_the_journal_with_only_its_end_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "j"
    with open_journal(path, SETTINGS) as journal:
        full = Full(20)
        monkeypatch.setattr(journal, "_file", full)
        for _ in range(2):
            with pytest.raises(DataError, match=r"No space left.*run again to go on"):
                journal.note_sent("a key", at_most_usd=1.0)
        assert full.written == b'{"kind": "sent", "key"'[:20]
