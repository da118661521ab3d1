"""File formats by their ending, and files that appear whole or not at all."""

import errno
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from routecast.data.reading import require_polars
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

FileFormat = Literal["jsonl", "csv", "parquet"]
_DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
_ENDINGS: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}


def file_format(path: str | Path) -> FileFormat:
    """Return the format that a file's ending stands for; upper and lower case are the same.

    Raises:
        DataError: If the ending is not one of those accepted.
    """
    ending = Path(path).suffix.lower()
    if ending not in _ENDINGS:
        raise DataError(
            f"cannot tell the format of {str(path)!r} by its ending {ending!r}; accepted are "
            f"{list(_ENDINGS)!r}"
        )
    return _ENDINGS[ending]


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


def read_table(path: str | Path) -> "pl.DataFrame":
    """Read a whole table by polars.

    Args:
        path: Parquet, JSONL or CSV, told by the ending.

    Raises:
        DataError: If the file is missing, has another ending, or polars cannot read it.
        MissingExtraError: If polars is not installed.
    """
    path = require_file(path)
    polars = require_polars("reading tables")
    readers: dict[FileFormat, Callable[..., pl.DataFrame]] = {
        "parquet": polars.read_parquet,
        "jsonl": lambda file: polars.read_ndjson(file, infer_schema_length=None),
        "csv": lambda file: polars.read_csv(file, infer_schema_length=None),
    }
    try:
        return readers[file_format(path)](path)
    except (polars.exceptions.PolarsError, OSError) as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise DataError(f"cannot read {str(path)!r}: {first_line}") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place only when the block ends well.

    The bytes go to a hidden file in the same folder, renamed at the end. When the block fails or
    is interrupted, that file is removed, and what stood at ``path`` before still stands.

    Args:
        path: Where the file is to appear; what is there is replaced. A link is followed.

    Yields:
        The file, open for writing bytes.

    Raises:
        DataError: If the folder is missing, the path is a folder or a device, or cannot be
            written.
    """
    target = Path(path).resolve()
    if not target.parent.is_dir():
        raise DataError(f"there is no folder {str(target.parent)!r} to write to; create it first")
    if target.exists() and not target.is_file():
        raise DataError(f"{str(path)!r} is not an ordinary file; name a file to write")
    partial = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.partial")
    try:
        file = partial.open("xb")
    except OSError as error:
        raise DataError(f"cannot write to {str(target.parent)!r}: {error.strerror}") from error
    try:
        with file:
            if target.exists():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
        partial.replace(target)
    except OSError as error:
        if error.errno not in _DISK_FAULTS:
            raise
        raise DataError(f"cannot write {str(path)!r}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
