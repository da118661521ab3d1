"""Files that are made to do harm, and disks that take no more: each is a sentence."""

import json
import resource
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from routecast.cli.main import app
from routecast.data.files import disk_fault
from routecast.data.limits import FILE_RULES, MIB, FileRules, safe_for_spreadsheets
from routecast.data.prompts import iter_prompts
from routecast.data.rows import json_objects, rows_or_faults
from routecast.data.scores import write_scores
from routecast.data.sources import open_file, read_table
from routecast.data.tally import Tally
from routecast.data.writing import write_table
from routecast.errors import DataError


@pytest.fixture
def small_rows() -> Iterator[None]:
    """Let a row have a MiB at most."""
    token = FILE_RULES.set(FileRules(max_row_mib=1))
    yield
    FILE_RULES.reset(token)


LONG = "x" * (2 * MIB)


def all_prompts(path: Path) -> object:
    return list(iter_prompts(path))


def all_batches(path: Path) -> object:
    return list(open_file(path).batches(Tally()))


def digest(n: int) -> str:
    return sha256(str(n).encode()).hexdigest()


def jsonl(path: Path, *prompts: str) -> Path:
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    return path


@pytest.mark.usefixtures("small_rows")
def test_a_line_beyond_the_limit_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", "one", LONG, "two")
    with pytest.raises(DataError, match=r"p\.jsonl, line 2: a row of more than 1 MiB; .*-mib N"):
        list(iter_prompts(path))
    with pytest.raises(DataError, match="line 2: a row of more than 1 MiB"):
        list(json_objects(path))
    dropped: Counter[str] = Counter()
    rows = list(iter_prompts(path, skip_bad=True, dropped=dropped))
    assert [(row.line, row.prompt) for row in rows] == [(1, "one"), (3, "two")]
    assert dropped == {"more than 1 MiB": 1}
    assert [number for number, _ in rows_or_faults(path)] == [1, 2, 3]


@pytest.mark.usefixtures("small_rows")
def test_a_row_of_just_the_limit_is_read(tmp_path: Path) -> None:
    line = json.dumps({"prompt": "x" * (MIB - 15)}).encode() + b"\n"
    (tmp_path / "p.jsonl").write_bytes(line * 2)
    assert len(line) == MIB
    assert len(list(iter_prompts(tmp_path / "p.jsonl"))) == 2


@pytest.mark.usefixtures("small_rows")
def test_a_huge_line_takes_no_more_memory_than_a_row_may(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with path.open("wb") as file:
        file.write(b'{"prompt": "one"}\n')
        file.truncate(300 * MIB)  # a line of zeros to the end
    tracemalloc.start()
    with pytest.raises(DataError, match="line 2: a row of more than 1 MiB"):
        list(iter_prompts(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * MIB


@pytest.mark.usefixtures("small_rows")
@pytest.mark.parametrize("field", [LONG, "\n".join(["x" * 1000] * 3000)])
def test_a_csv_row_beyond_the_limit_is_refused_on_one_line_or_many(
    tmp_path: Path, field: str
) -> None:
    (tmp_path / "p.csv").write_text(f'prompt,n\none,1\n"{field}",2\n')
    with pytest.raises(DataError, match=r"p\.csv, line \d+: a row of more than 1 MiB"):
        list(iter_prompts(tmp_path / "p.csv"))


@pytest.mark.usefixtures("small_rows")
def test_a_json_value_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps([{"prompt": LONG}] * 3))
    with pytest.raises(DataError, match=r"one JSON value of 6 MiB.*accepted are 4 MiB.*jq -c"):
        open_file(tmp_path / "p.json")


@pytest.mark.usefixtures("small_rows")
@pytest.mark.parametrize("is_repeated", [True, False])
@pytest.mark.parametrize("read", [read_table, all_prompts, all_batches])
def test_a_parquet_file_that_unpacks_to_far_more_is_refused(
    tmp_path: Path, is_repeated: bool, read: Callable[[Path], object]
) -> None:
    texts = ["x" * 10_000 if is_repeated else f"{n:05d}" + "x" * 10_000 for n in range(2000)]
    path = tmp_path / "p.parquet"
    pl.DataFrame({"prompt": texts}).write_parquet(path)  # 20 MB
    assert path.stat().st_size < 40_000
    with pytest.raises(DataError, match=r"and unpacks to \d+ MiB or more; accepted are 8 MiB"):
        read(path)


@pytest.mark.usefixtures("small_rows")
def test_a_parquet_file_that_packs_well_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({"prompt": ["hello"] * 200_000}).write_parquet(path)
    assert sum(len(batch) for batch in open_file(path).batches(Tally())) == 200_000


def test_the_command_line_sets_the_limit_for_one_run(tmp_path: Path) -> None:
    path, output = jsonl(tmp_path / "p.jsonl", LONG), str(tmp_path / "s.jsonl")
    score = ["score", "--router", "length", "--input", str(path), "--output", output]
    run = CliRunner().invoke(app, ["--max-row-mib", "1", *score])
    assert "raise the limit: routecast --max-row-mib N" in str(run.exception)
    assert CliRunner().invoke(app, score).exit_code == 0
    assert FILE_RULES.get() == FileRules()


@contextmanager
def no_file_beyond(n_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize(
    "command",
    [
        ["score", "--router", "length", "--input", "FILE", "--output", "OUT"],
        ["data", "import", "FILE", "--output", "OUT"],
        ["data", "split", "FILE", "--output", "OUT.d"],
    ],
)
def test_a_file_size_limit_is_a_sentence_and_leaves_nothing(
    tmp_path: Path, ending: str, command: list[str]
) -> None:
    source = tmp_path / f"p.{ending if command[1] == 'split' else 'jsonl'}"
    prompts = [f"number {n} of many is {n * n} and {digest(n)}" for n in range(3000)]
    write_table(pl.DataFrame({"prompt": prompts}), source)
    names = {"FILE": str(source), "OUT": str(tmp_path / f"out.{ending}"),
             "OUT.d": str(tmp_path / "out")}  # fmt: skip
    with no_file_beyond(16_000):
        run = CliRunner().invoke(app, [names.get(word, word) for word in command])
    assert isinstance(run.exception, DataError), run.exception
    assert "File too large; make room or raise the limit (df, quota, ulimit -f)" in str(
        run.exception
    )
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [source]


def test_a_library_that_quotes_the_system_is_understood() -> None:
    assert disk_fault(OSError(28, "x")) == "No space left on device"
    assert disk_fault(OSError("No space left on device (os error 28)")) == "No space left on device"
    assert disk_fault(ValueError("parquet: underlying IO error (os error 27)")) == "File too large"
    assert disk_fault(OSError(13, "no")) is None
    assert disk_fault(ValueError("os error 13")) is None


RUN = ["=1+1", "+1", "-1", "@a", "\tx"]
PLAIN = ["a=1", "", "'=1", "1-1"]


def test_texts_that_spreadsheets_run_get_an_apostrophe_where_asked(tmp_path: Path) -> None:
    assert [safe_for_spreadsheets(text) for text in RUN + PLAIN] == [f"'{x}" for x in RUN] + PLAIN
    source = tmp_path / "p.jsonl"
    rows = [{"prompt": "p", "note": text, "=head": -1} for text in RUN + PLAIN]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for number, command in enumerate(
        (["score", "--router", "length", "--input", str(source), "--output"],
         ["data", "import", str(source), "--output"])
    ):  # fmt: skip
        for flag, mark in ((["--spreadsheet-safe"], "'"), ([], "")):
            output = tmp_path / f"{number}{mark}.csv"
            run = CliRunner().invoke(app, [*flag, *command, str(output)])
            assert run.exit_code == 0, (run.output, run.exception)
            table = pl.read_csv(output, infer_schema=False, quote_char='"')
            notes = [text or "" for text in table["note"].to_list()]
            assert notes == [f"{mark}{text}" for text in RUN] + PLAIN
            assert set(table[f"{mark}=head"]) == {"-1"}


def test_scores_as_parquet_on_a_full_disk_are_a_sentence(tmp_path: Path) -> None:
    rows = list(iter_prompts(jsonl(tmp_path / "p.jsonl", *(digest(n) for n in range(3000)))))
    scored = [(rows, pl.Series([0.5] * len(rows)).to_numpy())]
    with (
        no_file_beyond(4000),
        pytest.raises(DataError, match=r"write '.*/s\.parquet': File too large"),
    ):
        write_scores(tmp_path / "s.parquet", scored)
