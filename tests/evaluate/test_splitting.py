"""A file split by prompt after near-duplicate grouping."""

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError, DataError
from routecast.evaluate import splitting
from routecast.evaluate.splitting import group_and_split, split_file

STEM = "which of the planets of the solar system has the largest number of moons"


def saved(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "all.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def lines(path: str | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_rows_are_dealt_out_whole_and_near_duplicates_stay_together(
    tmp_path: Path, word_embedder: Embedder
) -> None:
    rows = [{"prompt": f"question {row} about topic {row % 7}", "at": row} for row in range(98)]
    # Two prompts that differ in one word of 15: 15 - 4 = 11 runs of five each, 10 shared (the
    # word is the last), Jaccard 10 / 12 = .83. 2 prompts are the most that 1% of 100 allows.
    rows += [{"prompt": f"{STEM} {end}", "at": 98 + k} for k, end in enumerate(["", "today"])]
    rows += [dict(rows[-1], at=100), dict(rows[-2], at=101)]
    report = split_file(saved(tmp_path, rows), tmp_path / "out", word_embedder, seed=3)
    sides = {side.name: lines(side.file) for side in report.sides}
    assert sorted(row["at"] for side in sides.values() for row in side) == list(range(102))
    assert [side.n_rows for side in report.sides] == [len(side) for side in sides.values()]
    assert [name for name, side in sides.items() for row in side if row["at"] >= 98] == [
        next(name for name, side in sides.items() if rows[98] in side)
    ] * 4
    assert (report.n_rows, report.n_prompts) == (102, 100)
    assert 2 in report.merged
    for side in sides.values():
        assert [row["at"] for row in side] == sorted(row["at"] for row in side)


def test_large_groups_are_reported_and_not_merged(word_embedder: Embedder) -> None:
    # 40 prompts of 14 equal words and one of their own: Jaccard 10 / 12; 40 > 1% of 140.
    prompts = [f"{STEM} {row}" for row in range(40)] + [f"other words {row}" for row in range(100)]

    class Alike:
        identity = word_embedder.identity

        def embed(self, texts: Any) -> Any:  # noqa: ANN401
            vectors = word_embedder.embed(texts)
            for row, text in enumerate(texts):
                if text.startswith(STEM):
                    vectors[row] = np.eye(8, dtype=np.float32)[0]
            return vectors

    _, groups = group_and_split(prompts, Alike(), seed=0)
    assert groups.oversized == (40,)
    assert len(set(groups.labels[:40].tolist())) == 40


@given(prompts=st.lists(st.sampled_from(["a b", "a  B", "c", "d e f", "g"]), min_size=1))
def test_no_prompt_is_on_two_sides(prompts: list[str], word_embedder: Embedder) -> None:
    split, _ = group_and_split(prompts, word_embedder, fractions=(0.4, 0.3, 0.3), seed=1)
    sides = [{prompts[row].lower().replace(" ", "") for row in side} for side in
             (split.train, split.validation, split.test)]  # fmt: skip
    assert sum(map(len, sides)) == len(set.union(*sides))
    n_rows = sum(len(side) for side in (split.train, split.validation, split.test))
    assert n_rows == len(prompts)


def test_an_older_split_leaves_nothing_behind(tmp_path: Path, word_embedder: Embedder) -> None:
    file = saved(tmp_path, [{"prompt": f"prompt {row}"} for row in range(20)])
    split_file(file, tmp_path / "out", word_embedder)
    report = split_file(file, tmp_path / "out", word_embedder, fractions=(1.0, 0.0, 0.0))
    assert [side.file is None for side in report.sides] == [False, True, True]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.jsonl"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_the_sides_have_the_files_own_format(
    tmp_path: Path, word_embedder: Embedder, ending: str
) -> None:
    table = pl.DataFrame({"prompt": [f"prompt {row}" for row in range(20)], "n": range(20)})
    file = tmp_path / f"all{ending}"
    table.write_csv(file) if ending == ".csv" else table.write_parquet(file)
    split_file(file, tmp_path / "out", word_embedder)
    read = pl.read_csv if ending == ".csv" else pl.read_parquet
    parts = [read(tmp_path / "out" / f"{side}{ending}") for side in ("train", "validation", "test")]
    assert pl.concat(parts).sort("n").equals(table)


def test_what_cannot_be_split_is_refused(tmp_path: Path, word_embedder: Embedder) -> None:
    file = saved(tmp_path, [{"prompt": "one"}])
    with pytest.raises(ConfigError, match=r"fractions \(0\.5, 0\.1, 0\.1\); accepted are three"):
        split_file(file, tmp_path / "out", word_embedder, fractions=(0.5, 0.1, 0.1))
    with pytest.raises(DataError, match="cannot make the folder"):
        split_file(file, file, word_embedder)
    with pytest.raises(DataError, match="line 2, column 'prompt': 5"):
        split_file(
            saved(tmp_path, [{"prompt": "one"}, {"prompt": 5}]), tmp_path / "out", word_embedder
        )
    assert not (tmp_path / "out").exists()
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(DataError, match="holds no rows to split"):
        split_file(empty, tmp_path / "out", word_embedder)


def test_a_folder_that_holds_other_things_is_refused_and_left_alone(
    tmp_path: Path, word_embedder: Embedder
) -> None:
    file = saved(tmp_path, [{"prompt": f"prompt {row}"} for row in range(20)])
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds other things, 'notes\.txt' among them"):
        split_file(file, folder, word_embedder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    (folder / "notes.txt").unlink()
    for _ in range(2):  # an earlier split is replaced
        split_file(file, folder, word_embedder)


def test_a_killed_split_does_not_stand_in_the_way_of_the_next(
    tmp_path: Path, word_embedder: Embedder
) -> None:
    file = saved(tmp_path, [{"prompt": f"prompt {row}"} for row in range(20)])
    left = tmp_path / "out" / ".split.partial"
    left.mkdir(parents=True)
    (left / "holder.json").write_text("{}")
    (left / "train.jsonl").write_text("half")
    split_file(file, tmp_path / "out", word_embedder)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["test.jsonl", "train.jsonl", "validation.jsonl"]


def test_a_split_that_ends_between_two_files_mixes_no_sides(
    tmp_path: Path, word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path, [{"prompt": f"prompt {row}"} for row in range(40)])
    folder = tmp_path / "out"
    split_file(file, folder, word_embedder)
    old = (folder / "train.jsonl").read_text()
    replace_file = Path.replace

    def stop_at_second(path: Path, target: Path) -> Path:
        if path.parent == folder / ".split.partial" and path.name == "validation.jsonl":
            raise KeyboardInterrupt
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        split_file(file, folder, word_embedder, seed=1)
    assert [path.name for path in folder.iterdir()] == ["train.jsonl"]
    assert (folder / "train.jsonl").read_text() != old


def test_a_full_disk_is_told_of_the_folder_and_leaves_none(
    tmp_path: Path, word_embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / ".split.partial"))

    monkeypatch.setattr(splitting, "_write_rows", fill)
    path = saved(tmp_path, [{"prompt": f"question {row}"} for row in range(40)])
    with pytest.raises(DataError, match=r"cannot write '[^']*out': No space left.*make room"):
        split_file(path, tmp_path / "out", word_embedder)
    assert not (tmp_path / "out").exists()
