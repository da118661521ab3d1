"""Which model made which response, so that what goes on from it reaches the same model.

OpenAI's Responses API keeps conversations at the upstream: ``previous_response_id`` and
``conversation`` mean nothing to another model. Hashes of the identifiers are remembered, the last
100,000 of them, and where there are several workers in a file that they share.
"""

import asyncio
import os
import sqlite3
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol

import msgspec

from routecast.errors import ConfigError
from routecast.gateway.body import Fields
from routecast.policy.cross_checks import routable_apis
from routecast.policy.settings import ServerSettings, Settings
from routecast.upstream.apis import Api

MAX_REMEMBERED: Final = 100_000
_PRUNE_EVERY: Final = 1_000
_LOOK_AGAIN_AFTER_S = (0.02, 0.06)  # another worker may be about to write it
_BUSY_TIMEOUT_S: Final = 5.0


class Conversations(Protocol):
    """Remembers which model made a response or a conversation."""

    async def find(self, identity: str) -> str | None:
        """Return the model that made it; None if that is not known, or no longer."""

    def remember(self, identity: str, model: str) -> None:
        """Take note of who made it. It takes microseconds, and does not fail."""

    def close(self) -> None:
        """Write what is waiting, and let go of the file."""


_MAX_ORIGIN_BYTES = 1 << 12  # identifiers have some dozens


def read_origins(fields: Fields) -> dict[str, str]:
    """Return what a request goes on from: identifiers by the field that names them.

    Empty where it begins anew. What is no identifier is for the upstream to refuse.
    """
    origins = {}
    for name in ("previous_response_id", "conversation"):
        raw = memoryview(getattr(fields, name))
        if len(raw) <= _MAX_ORIGIN_BYTES and bytes(raw[:1]) in {b'"', b"{"}:
            try:
                given = _ORIGIN.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            identity = given if isinstance(given, str) else given.id
            if identity:
                origins[name] = identity
    return origins


class _Identified(msgspec.Struct, gc=False):
    id: str = ""


_ORIGIN = msgspec.json.Decoder(str | _Identified)


class MemoryConversations:
    """Remembers in this process alone."""

    def __init__(self, max_remembered: int = MAX_REMEMBERED) -> None:
        """Remember nothing yet."""
        self._models: OrderedDict[bytes, str] = OrderedDict()
        self._max_remembered = max_remembered

    async def find(self, identity: str) -> str | None:
        """Return the model that made it; None if that is not known, or no longer."""
        return self._models.get(_hash(identity))

    def remember(self, identity: str, model: str) -> None:
        """Take note of who made it."""
        key = _hash(identity)
        self._models[key] = model
        self._models.move_to_end(key)
        if len(self._models) > self._max_remembered:
            self._models.popitem(last=False)

    def close(self) -> None:
        """Do nothing."""


class FileConversations:
    """Remembers in an SQLite file, for every worker that opens it, and after a restart."""

    def __init__(self, path: Path, max_remembered: int = MAX_REMEMBERED) -> None:
        """Open the file, and make it if there is none.

        Raises:
            ConfigError: If it cannot be opened or written.
        """
        self._max_remembered = max_remembered
        self._n_written = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="conversations")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._thread.submit(_open, path).result()
        except (OSError, sqlite3.Error) as error:
            self._thread.shutdown()
            raise _refusal(path, str(error)) from None

    async def find(self, identity: str) -> str | None:
        """Return the model that made it; None if that is not known, or no longer."""
        key = _hash(identity)
        for wait_s in (0.0, *_LOOK_AGAIN_AFTER_S):
            await asyncio.sleep(wait_s)
            found = await self._find(key)
            if found is not None:
                return found
        return None

    async def _find(self, key: bytes) -> str | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._select, key)

    def remember(self, identity: str, model: str) -> None:
        """Take note of who made it; a thread writes it down."""
        self._thread.submit(self._insert, _hash(identity), model)

    def close(self) -> None:
        """Write what is waiting, and let go of the file."""
        self._thread.submit(self._database.close)
        self._thread.shutdown()

    def _select(self, key: bytes) -> str | None:
        try:
            row = self._database.execute("SELECT model FROM made WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error:
            return None  # the client is told that it is not known
        return None if row is None else str(row[0])

    def _insert(self, key: bytes, model: str) -> None:
        try:
            self._database.execute("INSERT OR REPLACE INTO made VALUES (NULL, ?, ?)", (key, model))
            self._n_written += 1
            if self._n_written % _PRUNE_EVERY == 1:
                self._database.execute(
                    "DELETE FROM made WHERE number <= (SELECT max(number) FROM made) - ?",
                    (self._max_remembered,),
                )
        except sqlite3.Error:
            return  # a full disk must not end a request; what is not written is not known later


def keeps_conversations(settings: Settings) -> bool:
    """Return whether a route can be asked in the responses API, so that a file is needed."""
    return any(
        Api.RESPONSES in routable_apis(route, settings) for route in settings.routes.values()
    )


def conversations_file(settings: ServerSettings, folder: Path) -> Path:
    """Return the file that the workers share.

    Args:
        settings: With the state folder.
        folder: Where a relative one begins: the settings file's own folder.
    """
    return folder / Path(settings.state_folder).expanduser() / "conversations.sqlite"


def check_place(path: Path) -> None:
    """Refuse a file that ``FileConversations`` could not open; none is made here.

    Raises:
        ConfigError: If the file cannot be written, or made if there is none.
    """
    try:
        if path.exists():
            FileConversations(path).close()
            return
        nearest = next(parent for parent in path.parents if parent.exists())
    except OSError as error:
        raise _refusal(path, str(error)) from None
    if not nearest.is_dir():
        raise _refusal(path, f"{str(nearest)!r} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _refusal(path, f"folder {str(nearest)!r} is not writable")


def _refusal(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"the conversations of /v1/responses cannot be kept in {str(path)!r}: {why}; let "
        "state_folder in [server] name a folder that can be written"
    )


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("BEGIN IMMEDIATE")  # refused where the file can be read alone
    database.execute("ROLLBACK")
    database.execute(
        "CREATE TABLE IF NOT EXISTS made "
        "(number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB UNIQUE NOT NULL, model TEXT NOT NULL)"
    )
    return database


def _hash(identity: str) -> bytes:
    return blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()
