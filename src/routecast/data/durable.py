"""Files and folders that appear whole or not at all, and are still there after a power cut.

What a run prepares lies in a hidden folder beside its target, ``.NAME.partial``, that one run at a
time holds by a lock. A run that was killed leaves it behind; the next one for the same target finds
it unlocked, and clears it.
"""

import errno
import json
import os
import platform
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from routecast.errors import ConfigError

_HOLDER: Final = "holder.json"
_OLD: Final = "old"
_TEMPORARY: Final = "routecast-"
_MAX_NAME_BYTES: Final = 200
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux

_held: dict[Path, int] = {}
"""Workspaces that this process holds, each by the thread that does."""


@contextmanager
def held_workspace(target: str | Path) -> Iterator[Path]:
    """Hold the hidden folder in which a file or folder is prepared; gone when the block ends.

    What a killed run left there is cleared; where it was killed between two renames, what stood at
    the target before is put back. A thread that holds it may enter again.

    Args:
        target: Where the result is to appear; parents are made.

    Yields:
        The folder, empty on first entering.

    Raises:
        ConfigError: If another run holds it, saying which.
        OSError: If it cannot be made.
    """
    target = Path(target).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    work = workspace_of(target)
    if _held.get(work) == threading.get_ident():
        yield work
        return
    lock = _take(work, target)
    if lock is None:  # no locks on this system, so nobody can tell a live run: keep apart
        work = work.with_suffix(f".{secrets.token_hex(4)}.partial")
        work.mkdir(mode=0o700)
    _held[work] = threading.get_ident()
    try:
        if lock is not None:
            _clear(work, target)
        yield work
    finally:
        del _held[work]
        shutil.rmtree(work, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def workspace_of(target: Path) -> Path:
    """Return the hidden folder that `held_workspace` makes; after a kill it is still there."""
    name = target.name.encode()[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
    return target.with_name(f".{name}.partial")


@contextmanager
def whole_folder(folder: str | Path) -> Iterator[Path]:
    """Fill a folder that takes its place only when the block ends well, and is then on the disk.

    A folder that is there before is exchanged for the new one in one step where the system can;
    elsewhere it is out of the way for a moment, and put back by the next run if this one is killed.

    Args:
        folder: Where it is to appear; parents are made. A link is followed.

    Yields:
        An empty folder to write into.

    Raises:
        ConfigError: If another run is writing there.
        OSError: If something cannot be written.
    """
    folder = Path(folder).resolve()
    with held_workspace(folder) as work:
        fresh = work / secrets.token_hex(4)
        fresh.mkdir()
        yield fresh
        _sync_tree(fresh)
        _put_in_place(fresh, folder, work)
        sync_folder(folder.parent)


def temporary_folder() -> tuple[Path, Callable[[], None]]:
    """Make a folder in the system's place for such; those that killed runs left are removed.

    Returns:
        The folder, and what removes it; it is left to the next run if the process is killed.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        _sweep(left)
    made = Path(tempfile.mkdtemp(prefix=f".{_TEMPORARY}"))
    home = made.with_name(made.name.removeprefix("."))
    lock = _lock(made)
    made.rename(home)  # under this name it is known to be locked
    (home / "files").mkdir()

    def remove() -> None:
        shutil.rmtree(home, ignore_errors=True)
        if lock is not None:
            os.close(lock)

    return home / "files", remove


def _sweep(left: Path) -> None:
    """Remove a temporary folder of this user whose process is gone."""
    with suppress(OSError, ConfigError):
        is_ours = not left.is_symlink() and left.stat().st_uid == os.getuid()
        if is_ours and (left / _HOLDER).is_file() and (lock := _lock(left)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can say so."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def interrupted_copy(folder: Path) -> Path | None:
    """Return where a killed run left what stood at ``folder``; None if it left nothing."""
    old = workspace_of(folder) / _OLD
    return old if not folder.exists() and old.exists() else None


def _take(work: Path, target: Path) -> int | None:
    """Lock the workspace and return the lock; None where there are no locks."""
    while True:
        with suppress(FileExistsError):
            work.mkdir(mode=0o700)
        try:
            lock = _lock(work)
        except FileNotFoundError:  # its holder has just removed it
            continue
        except BlockingIOError as error:
            raise ConfigError(_in_use(target, str(error))) from None
        if lock is None:
            work.rmdir()
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(lock), (work / _HOLDER).stat()):
                return lock
        os.close(lock)  # it was removed between opening and locking


def _lock(work: Path) -> int | None:
    """Lock a folder and say in it who did; None where there are no locks.

    Raises:
        BlockingIOError: If another process or thread holds it, with what that says of itself.
    """
    try:
        import fcntl
    except ImportError:
        return None
    lock = os.open(work / _HOLDER, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        who = os.read(lock, 1000)
        os.close(lock)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise BlockingIOError(who.decode("utf-8", "replace")) from None
        (work / _HOLDER).unlink(missing_ok=True)
        return None
    _sign(lock)
    return lock


def _sign(lock: int) -> None:
    """Say who holds it."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    who = {"process": os.getpid(), "host": platform.node(), "since": since}
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(who).encode(), 0)


def _in_use(target: Path, who: str) -> str:
    try:
        holder = json.loads(who)
        named = f"process {holder['process']} on {holder['host']}, since {holder['since']}"
    except (ValueError, LookupError, TypeError):
        named = "it does not say which"
    return (
        f"{str(target)!r} is being written by another run ({named}); wait for that, end it, or "
        "name another output"
    )


def _clear(work: Path, target: Path) -> None:
    """Remove what a killed run left, and put back what it had moved out of the way."""
    if (work / _OLD).exists() and not target.exists():
        (work / _OLD).rename(target)
    for entry in work.iterdir():
        if entry.name == _HOLDER:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync_tree(folder: Path) -> None:
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            with Path(place, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(place))


def _put_in_place(fresh: Path, folder: Path, work: Path) -> None:
    if not folder.exists():
        fresh.rename(folder)
    elif not _exchange(fresh, folder):
        folder.rename(work / _OLD)
        fresh.rename(folder)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step, as Linux can on most disks; tell whether that was done."""
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here = -100  # AT_FDCWD
    return bool(rename(here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE) == 0)
