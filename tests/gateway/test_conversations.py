"""Which model made which response."""

import os
import sqlite3
from pathlib import Path

import anyio
import msgspec
import pytest

from routecast.errors import ConfigError
from routecast.gateway import conversations
from routecast.gateway.body import Fields
from routecast.gateway.conversations import (
    Conversations,
    FileConversations,
    MemoryConversations,
    check_place,
    read_origins,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "file"])
def five(request: pytest.FixtureRequest, tmp_path: Path) -> Conversations:
    """Remembers five."""
    if request.param == "memory":
        return MemoryConversations(max_remembered=5)
    return FileConversations(tmp_path / "a" / "b.sqlite", max_remembered=5)


async def test_what_a_model_made_is_remembered(five: Conversations) -> None:
    assert await five.find("resp_1") is None
    five.remember("resp_1", "big")
    five.remember("resp_2", "small")
    five.remember("conv_\ud83d", "small")
    assert await five.find("resp_1") == "big"
    assert await five.find("resp_2") == "small"
    assert await five.find("conv_\ud83d") == "small"
    five.remember("resp_1", "small")
    assert await five.find("resp_1") == "small"
    five.close()


async def test_a_file_is_shared_by_workers_and_outlives_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "_LOOK_AGAIN_AFTER_S", (3.0,))
    path = tmp_path / "conversations.sqlite"
    one, other = FileConversations(path), FileConversations(path)
    one.remember("resp_1", "big")
    assert await one.find("resp_1") == "big"
    assert await other.find("resp_1") == "big"
    one.close()
    other.close()
    again = FileConversations(path)
    assert await again.find("resp_1") == "big"
    again.close()


async def test_what_another_worker_is_about_to_write_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "_LOOK_AGAIN_AFTER_S", (0.1, 3.0))
    path = tmp_path / "conversations.sqlite"
    one, other = FileConversations(path), FileConversations(path)
    found: list[str | None] = []

    async def look() -> None:
        found.append(await other.find("resp_1"))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await anyio.sleep(0.02)
        one.remember("resp_1", "big")
    assert found == ["big"]
    one.close()
    other.close()


async def test_memory_is_bounded() -> None:
    memory = MemoryConversations(max_remembered=5)
    for i in range(8):
        memory.remember(f"resp_{i}", "big")
    memory.remember("resp_3", "big")  # said again, so it stays longer
    memory.remember("resp_8", "big")
    known = [i for i in range(9) if await memory.find(f"resp_{i}")]
    assert known == [3, 5, 6, 7, 8]


async def test_a_file_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite"
    bounded = FileConversations(path, max_remembered=50)
    for i in range(2_100):
        bounded.remember(f"resp_{i}", "big")
    bounded.close()
    with sqlite3.connect(path) as database:
        (n_rows,) = database.execute("SELECT count(*) FROM made").fetchone()
        everything = "".join(str(row) for row in database.execute("SELECT * FROM made"))
    database.close()
    assert n_rows <= 50 + 1_000  # it is pruned every 1,000 rows
    assert "resp_" not in everything  # hashes alone


def test_a_folder_that_cannot_be_written_is_refused_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"state_folder in \[server\]"):
        FileConversations(tmp_path / "file" / "conversations.sqlite")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite"
    path.write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    with pytest.raises(ConfigError, match="cannot be kept in"):
        FileConversations(path)


@pytest.mark.parametrize(
    ("previous", "conversation", "origins"),
    [
        (b"null", b"null", {}),
        (b'"resp_1"', b"null", {"previous_response_id": "resp_1"}),
        (b"null", b'"conv_1"', {"conversation": "conv_1"}),
        (b"null", b'{"id":"conv_1","x":1}', {"conversation": "conv_1"}),
        (
            b'"resp_1"',
            b'"conv_1"',
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
        ),
        (b"7", b"[]", {}),
        (b'""', b"{}", {}),
        (b'{"id":7}', b'"\\ud83d"', {}),
    ],
)
def test_a_request_says_what_it_goes_on_from(
    previous: bytes, conversation: bytes, origins: dict[str, str]
) -> None:
    fields = Fields(
        "auto",
        previous_response_id=msgspec.Raw(previous),
        conversation=msgspec.Raw(conversation),
    )
    assert read_origins(fields) == origins


def test_a_place_is_checked_and_nothing_is_made_there(tmp_path: Path) -> None:
    check_place(tmp_path / "new" / "deep" / "conversations.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_place_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file' is no folder; let state_folder in \[server\]"):
        check_place(tmp_path / "file" / "conversations.sqlite")


def test_a_place_that_is_not_writable_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(ConfigError, match="is not writable; let state_folder"):
        check_place(tmp_path / "new" / "conversations.sqlite")


def test_a_file_that_is_there_is_opened_by_the_check(tmp_path: Path) -> None:
    path = tmp_path / "conversations.sqlite"
    FileConversations(path).close()
    check_place(path)
    path.write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    with pytest.raises(ConfigError, match="cannot be kept in"):
        check_place(path)


async def test_what_is_unknown_is_said_so_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = FileConversations(tmp_path / "conversations.sqlite")
    looked: list[bytes] = []

    async def note(key: bytes) -> None:
        looked.append(key)

    monkeypatch.setattr(remembered, "_find", note)
    assert await remembered.find("resp_1") is None
    assert len(looked) == 3  # at once, after 20 and after 60 ms more
    assert sum(conversations._LOOK_AGAIN_AFTER_S) < 0.1
    remembered.close()
