"""Downloads against a server on loopback that can misbehave."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from routecast.errors import DataError
from routecast.evaluate.benchmarks import FOLDERS
from routecast.evaluate.download import (
    PinnedFile,
    Publication,
    download_benchmark,
    is_downloaded,
    read_publication,
)

CONTENTS = {"quiz/a.csv": b"prompt,m\nWhat?,True\n", "quiz/sub/b.jsonl": b"{}\n" * 50_000}


@dataclass
class Site:
    """What the server holds, and how it misbehaves.

    Attributes:
        address: Where it listens.
        contents: Bytes by path below the pinned commit.
        faults: What to do instead of answering well, by path, the next fault first.
        n_requests: Requests so far, by path.
    """

    address: str = ""
    contents: dict[str, bytes] = field(default_factory=lambda: dict(CONTENTS))
    faults: dict[str, list[str]] = field(default_factory=dict)
    n_requests: Counter[str] = field(default_factory=Counter)


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        path = self.path.removeprefix("/owner/name/c0ffee/data/")
        self.site.n_requests[path] += 1
        faults = self.site.faults.get(path, [])
        fault = faults.pop(0) if faults else ""
        content = self.site.contents.get(path)
        if content is None or fault.isdigit():
            self.send_response(int(fault or 404))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if fault == "drop" else content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    class SiteHandler(Handler):
        site = Site()

    handler = SiteHandler
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.site.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler.site
    server.shutdown()
    thread.join()
    server.server_close()


def publication(site: Site) -> Publication:
    pinned = tuple(
        PinnedFile(path=path, n_bytes=len(content), sha256=sha256(content).hexdigest())
        for path, content in CONTENTS.items()
    )
    return Publication(
        host=site.address, repository="owner/name", commit="c0ffee", folder="data", files=pinned
    )


def fetch(site: Site, folder: Path) -> None:
    download_benchmark(publication(site), "quiz", folder, wait_s=0.001)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_are_fetched_once_and_kept(site: Site, tmp_path: Path) -> None:
    assert not is_downloaded(publication(site), "quiz", tmp_path)
    seen: list[tuple[int, int]] = []
    download_benchmark(
        publication(site), "quiz", tmp_path, watch=lambda done, total: seen.append((done, total))
    )
    assert files_in(tmp_path) == CONTENTS
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert is_downloaded(publication(site), "quiz", tmp_path)
    fetch(site, tmp_path)
    assert set(site.n_requests.values()) == {1}


def test_a_file_with_another_digest_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    site.contents["quiz/a.csv"] = b"prompt,m\nWhat?,Fals\n"
    with pytest.raises(DataError, match=r"a\.csv is not the published file: 20 bytes with SHA-256"):
        fetch(site, tmp_path)
    assert files_in(tmp_path) == {}
    assert not is_downloaded(publication(site), "quiz", tmp_path)


def test_a_file_without_end_is_not_read_to_its_end(site: Site, tmp_path: Path) -> None:
    site.contents["quiz/a.csv"] = b"x" * 10_000_000
    with pytest.raises(DataError, match="not the published file: 21 bytes"):
        fetch(site, tmp_path)


def test_a_file_that_is_not_there_is_not_asked_for_again(site: Site, tmp_path: Path) -> None:
    del site.contents["quiz/a.csv"]
    with pytest.raises(
        DataError, match=r"cannot fetch http.*a\.csv: the server answers 404; .*--data"
    ):
        fetch(site, tmp_path)
    assert site.n_requests["quiz/a.csv"] == 1


@pytest.mark.parametrize("fault", ["drop", "503", "429"])
def test_passing_faults_are_tried_again(site: Site, tmp_path: Path, fault: str) -> None:
    site.faults["quiz/sub/b.jsonl"] = [fault, fault]
    fetch(site, tmp_path)
    assert files_in(tmp_path) == CONTENTS
    assert site.n_requests["quiz/sub/b.jsonl"] == 3


def test_an_interrupted_download_goes_on_with_what_is_missing(site: Site, tmp_path: Path) -> None:
    site.faults["quiz/sub/b.jsonl"] = ["drop"] * 3
    with pytest.raises(
        DataError, match=r"the connection dropped, 3 times; .*what was fetched is kept"
    ):
        fetch(site, tmp_path)
    assert files_in(tmp_path) == {"quiz/a.csv": CONTENTS["quiz/a.csv"]}  # no half-written file
    fetch(site, tmp_path)
    assert files_in(tmp_path) == CONTENTS
    assert site.n_requests["quiz/a.csv"] == 1


def test_a_damaged_copy_is_fetched_again(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path)
    (tmp_path / "quiz/a.csv").write_bytes(CONTENTS["quiz/a.csv"][:5])
    assert not is_downloaded(publication(site), "quiz", tmp_path)
    fetch(site, tmp_path)
    assert files_in(tmp_path) == CONTENTS


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    offline = replace(
        publication(Site(address="http://127.0.0.1:9")), files=publication(Site()).files
    )
    with pytest.raises(DataError, match=r"cannot fetch http://127.0.0.1:9/.*refused, 3 times"):
        download_benchmark(offline, "quiz", tmp_path, wait_s=0.001)


def test_other_schemes_and_folders_are_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="accepted are http and https"):
        download_benchmark(replace(publication(site), host="file://x"), "quiz", tmp_path)
    with pytest.raises(DataError, match=r"no benchmark folder 'exam'.*\['quiz'\]"):
        download_benchmark(publication(site), "exam", tmp_path)


def test_the_table_pins_one_commit_and_every_file_that_is_read(shared_data: Path) -> None:
    published = read_publication()
    assert len(published.commit) == 40
    counts = {folder: len(published.of_benchmark(folder)) for folder in FOLDERS.values()}
    assert counts == {"mmlu": 58, "gsm8k": 2, "mt_bench": 3}
    for folder in FOLDERS.values():
        assert is_downloaded(published, folder, shared_data / "benchmarks" / "routellm")
