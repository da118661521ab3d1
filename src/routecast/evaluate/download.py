"""The published benchmarks from their public repository: pinned, checked, kept.

Files come from one commit of github.com/lm-sys/RouteLLM, and count only when their SHA-256 is the
one in ``benchmark_files.json``. Each appears under its name whole and checked, or not at all, so
that an interrupted download goes on with the files that are missing.
"""

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from routecast.data.files import whole_file
from routecast.errors import DataError

N_ATTEMPTS = 3
_TIMEOUT_S = 30.0
_BLOCK_BYTES = 2**16
_HTTP_SERVER_ERROR = 500
_TOO_MANY_REQUESTS = 429

Watch = Callable[[int, int], None]
"""Called with the files that are there, and how many there are to be."""


@dataclass(frozen=True, kw_only=True)
class PinnedFile:
    """One file of a benchmark.

    Attributes:
        path: Below the folder of the benchmarks: ``mmlu/responses/mmlu_anatomy.csv``.
        n_bytes: Its size.
        sha256: Its digest, in hexadecimal.
    """

    path: str
    n_bytes: int
    sha256: str

    def is_whole(self, folder: Path) -> bool:
        """Tell whether the file is in a folder as it was published."""
        try:
            content = (folder / self.path).read_bytes()
        except OSError:
            return False
        return self.accepts(content)

    def accepts(self, content: bytes) -> bool:
        """Tell whether bytes are those of the file as it was published."""
        return len(content) == self.n_bytes and sha256(content).hexdigest() == self.sha256


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Where the benchmarks are published, and what their files hold.

    Attributes:
        host: What stands before the repository's name in an address of a raw file.
        repository: Owner and name on GitHub.
        commit: The commit, 40 hexadecimal digits.
        folder: The benchmarks' folder there.
        files: All files that evaluation reads.
    """

    host: str
    repository: str
    commit: str
    folder: str
    files: tuple[PinnedFile, ...]

    def address(self, file: PinnedFile) -> str:
        """Return where a file can be fetched."""
        path = "/".join((self.repository, self.commit, self.folder, file.path))
        return f"{self.host}/{quote(path)}"

    def of_benchmark(self, folder: str) -> tuple[PinnedFile, ...]:
        """Return the files of one benchmark, by its folder's name.

        Raises:
            DataError: If there is none of that name.
        """
        chosen = tuple(file for file in self.files if file.path.startswith(f"{folder}/"))
        if not chosen:
            known = sorted({file.path.partition("/")[0] for file in self.files})
            raise DataError(f"no benchmark folder {folder!r} is published; choose one of {known!r}")
        return chosen


def read_publication() -> Publication:
    """Return the table of files that is part of this package."""
    text = (files("routecast.evaluate") / "benchmark_files.json").read_text(encoding="utf-8")
    document = json.loads(text)
    return Publication(
        host=document["host"],
        repository=document["repository"],
        commit=document["commit"],
        folder=document["folder"],
        files=tuple(PinnedFile(path=path, **file) for path, file in document["files"].items()),
    )


def is_downloaded(publication: Publication, benchmark: str, folder: Path) -> bool:
    """Tell whether all files of a benchmark are in a folder, each as it was published."""
    return all(file.is_whole(folder) for file in publication.of_benchmark(benchmark))


def download_benchmark(
    publication: Publication,
    benchmark: str,
    folder: Path,
    *,
    wait_s: float = 1.0,
    watch: Watch | None = None,
) -> None:
    """Fetch the files of a benchmark that are not yet in a folder.

    Args:
        publication: What to fetch from where.
        benchmark: Name of the benchmark's folder: ``mmlu``, ``gsm8k``, ``mt_bench``.
        folder: Where files are kept; made if need be. Damaged files are fetched again.
        wait_s: Pause before a second attempt, doubled for a third.
        watch: Called after each file.

    Raises:
        DataError: If a file cannot be fetched, or is not the published one. Files that were
            fetched before are kept, and the next call goes on with the others.
    """
    pinned = publication.of_benchmark(benchmark)
    for n_done, file in enumerate(pinned):
        if watch is not None:
            watch(n_done, len(pinned))
        if not file.is_whole(folder):
            url = publication.address(file)
            _keep(folder / file.path, _fetch_checked(url, file, wait_s=wait_s))
    if watch is not None:
        watch(len(pinned), len(pinned))


def _fetch_checked(url: str, file: PinnedFile, *, wait_s: float) -> bytes:
    content = _fetch(url, n_most=file.n_bytes, wait_s=wait_s)
    if not file.accepts(content):
        raise DataError(
            f"{url} is not the published file: {len(content)} bytes with SHA-256 "
            f"{sha256(content).hexdigest()}, where {file.n_bytes} with {file.sha256} are expected; "
            "a proxy may have changed it: try again, or copy the files and name their folder "
            "with --data"
        )
    return content


def _fetch(url: str, *, n_most: int, wait_s: float) -> bytes:
    """Read an address, trying again where that may help; at most one byte more than expected."""
    if not url.startswith(("https://", "http://")):
        raise DataError(f"cannot fetch {url!r}; accepted are http and https")
    for attempt in range(1, N_ATTEMPTS + 1):
        try:
            request = Request(url, headers={"User-Agent": "routecast"})  # noqa: S310 (checked)
            with urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310 (checked)
                return _read_whole(response, n_most)
        except HTTPError as error:
            error.close()
            if error.code < _HTTP_SERVER_ERROR and error.code != _TOO_MANY_REQUESTS:
                raise _unreachable(url, f"the server answers {error.code}") from error
            reason = f"the server answers {error.code}"
        except (OSError, http.client.HTTPException) as error:
            reason = _reason(error)
        if attempt < N_ATTEMPTS:
            time.sleep(wait_s * 2 ** (attempt - 1))
    raise _unreachable(url, f"{reason}, {N_ATTEMPTS} times")


def _read_whole(response: http.client.HTTPResponse, n_most: int) -> bytes:
    """Read until the end; a connection that drops before its stated length is an error."""
    blocks = []
    n_left = n_most + 1
    while n_left > 0 and (block := response.read(min(_BLOCK_BYTES, n_left))):
        blocks.append(block)
        n_left -= len(block)
    content = b"".join(blocks)
    stated = response.headers.get("Content-Length")
    if n_left > 0 and stated is not None and stated.isdigit() and len(content) < int(stated):
        raise http.client.IncompleteRead(content, int(stated) - len(content))
    return content


def _reason(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the connection dropped"
    cause = error.reason if isinstance(error, URLError) else error
    return str(cause) or type(cause).__name__


def _unreachable(url: str, reason: str) -> DataError:
    return DataError(
        f"cannot fetch {url}: {reason}; check the network and try again (what was fetched is "
        "kept), or copy the files and name their folder with --data"
    )


def _keep(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {str(path.parent)!r}: {error.strerror}") from error
    with whole_file(path) as file:
        file.write(content)
