"""File formats by their ending, and files that appear whole or not at all."""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from routecast.data.durable import held_workspace, sync_folder
from routecast.data.limits import FILE_RULES, MIB, RAISE_LIMIT
from routecast.data.parquet_footer import unpacked_bytes
from routecast.data.reading import require_polars
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

FileFormat = Literal["jsonl", "csv", "parquet"]
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
MAKE_ROOM = "make room or raise the limit (df, quota, ulimit -f), or write elsewhere"
_ENDINGS: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
_UNPACKED_BY = {
    ".gz": "gunzip -k",
    ".zst": "zstd -d",
    ".bz2": "bunzip2 -k",
    ".xz": "unxz -k",
    ".zip": "unzip",
}


def file_format(path: str | Path) -> FileFormat:
    """Return the format that a file's ending stands for; upper and lower case are the same.

    Raises:
        DataError: If the ending is not one of those accepted.
    """
    ending = Path(path).suffix.lower()
    if ending in _UNPACKED_BY:
        raise DataError(
            f"{str(path)!r} is compressed; accepted are plain files {list(_ENDINGS)!r}: unpack it "
            f"first with {_UNPACKED_BY[ending]} {path}"
        )
    if ending not in _ENDINGS:
        raise DataError(
            f"cannot tell the format of {str(path)!r} by its ending {ending!r}; accepted are "
            f"{list(_ENDINGS)!r}"
        )
    return _ENDINGS[ending]


def disk_fault(error: Exception) -> str | None:
    """Return what the system says of a disk that takes no more; None of other errors.

    Args:
        error: Its own, or a library's that only quotes it: ``... (os error 28)``.
    """
    quoted = re.search(r"os error (\d+)", str(error))
    number = error.errno if isinstance(error, OSError) else None
    if number is None and quoted:
        number = int(quoted[1])
    return os.strerror(number) if number in _DISK_FAULTS else None


@contextmanager
def disk_faults_told(path: str | Path) -> Iterator[None]:
    """Turn what polars or the system says of a disk that takes no more into a sentence.

    Args:
        path: What the user wants written: named instead of what is prepared beside it.

    Raises:
        DataError: In place of such an error.
    """
    polars = require_polars("writing tables")
    try:
        yield
    except (polars.exceptions.PolarsError, OSError, DataError) as error:
        cause = error.__cause__ if isinstance(error, DataError) else error
        if not isinstance(cause, Exception) or (fault := disk_fault(cause)) is None:
            raise
        raise DataError(f"cannot write {str(path)!r}: {fault}; {MAKE_ROOM}") from error


def require_file(path: str | Path) -> Path:
    """Return the path of a file that is there.

    Raises:
        DataError: If there is no such file, or it is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{str(path)!r} is a folder; name a file in it")
    if not path.exists():
        raise DataError(f"there is no file {str(path)!r}; check the path")
    return path


def scan_parquet(path: Path) -> "pl.LazyFrame":
    """Open a Parquet file that does not say that it unpacks to more than `FileRules` allow.

    Raises:
        DataError: If it says so, or is none.
    """
    polars = require_polars("reading Parquet")
    try:
        check_unpacked(path, unpacked_bytes(path))
    except (ValueError, OSError) as error:
        raise unreadable_file(path, error) from error
    lazy: pl.LazyFrame = polars.scan_parquet(path)
    return lazy


def check_unpacked(path: Path, n_bytes: int) -> None:
    """Refuse a packed file that unpacks to far more than its own size.

    Raises:
        DataError: Saying how much.
    """
    n_packed = path.stat().st_size
    limit = FILE_RULES.get().max_unpacked_bytes(n_packed)
    if n_bytes > limit:
        raise DataError(
            f"{str(path)!r} has {n_packed:,} bytes and unpacks to {n_bytes / MIB:,.0f} MiB or "
            f"more; accepted are {limit / MIB:,.0f} MiB: {RAISE_LIMIT}"
        )


def unreadable_file(path: Path, error: Exception) -> DataError:
    """Return the error for a file that a library could not read."""
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError(f"cannot read {str(path)!r}: {first_line}")


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place only when the block ends well.

    The bytes go to a hidden folder beside it, see `held_workspace`, and are on the disk before they
    take their place. When the block fails or is interrupted, what stood at ``path`` before still
    stands.

    Args:
        path: Where the file is to appear; what is there is replaced. A link is followed.

    Yields:
        The file, open for writing bytes.

    Raises:
        ConfigError: If another run is writing that file.
        DataError: If the folder is missing, the path is a folder or a device, or cannot be
            written.
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise DataError(f"there is no folder {str(target.parent)!r} to write to; create it first")
    if target.exists() and not target.is_file():
        raise DataError(f"{str(path)!r} is not an ordinary file; name a file to write")
    with ExitStack() as held:
        try:
            work = held.enter_context(held_workspace(target))
            partial = work / secrets.token_hex(4)
            file = partial.open("xb")
        except OSError as error:
            raise DataError(f"cannot write to {str(target.parent)!r}: {error.strerror}") from error
        try:
            with file:
                if target.exists():
                    partial.chmod(stat.S_IMODE(target.stat().st_mode))
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            if (fault := disk_fault(error)) is None:
                raise
            raise DataError(f"cannot write {str(path)!r}: {fault}; {MAKE_ROOM}") from error
        sync_folder(target.parent)
