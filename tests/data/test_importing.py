"""Import into files that follow the contracts."""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from routecast.data.importing import import_table
from routecast.data.readers.context import ReadOptions
from routecast.data.readers.native import read_comparisons, read_outcomes
from routecast.data.reading import Dropped
from routecast.data.sources import read_table
from routecast.errors import ConfigError, DataError

ENDINGS = [".parquet", ".jsonl", ".csv"]
ROWS: list[dict[str, Any]] = [
    {
        "prompt": f'A question, "number" {i}\nwith a line',
        "model_a": "x",
        "model_b": "y",
        "outcome": outcome,
        "source": "me",
        "language": "日本語",
        "code": "007",
        "n": i,
        "flag": i == 1,
        "note": note,
    }
    for i, outcome, note in ((1, 1.0, "a"), (2, 0.5, None), (3, 0.25, "c"))
]


def saved(folder: Path, rows: list[dict[str, Any]], ending: str, name: str = "in") -> Path:
    path = folder / f"{name}{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif ending == ".csv":
        pl.DataFrame(rows).write_csv(path)
    else:
        pl.DataFrame(rows).write_parquet(path)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("written", ENDINGS)
def test_round_trips_keep_all_rows_and_unknown_columns(
    tmp_path: Path, ending: str, written: str
) -> None:
    source, output = saved(tmp_path, ROWS, ending), tmp_path / f"out{written}"
    report = import_table(source, output)
    assert (report.format, report.kind, report.guessed) == ("native", "comparisons", True)
    assert (report.n_read, report.n_written, report.n_prompts) == (3, 3, 3)
    assert (report.models, report.left_out, report.bad) == (("x", "y"), (), ())
    assert read_table(output).select(list(ROWS[0])).to_dicts() == ROWS


def test_bad_rows_are_counted_by_reason_over_all_batches(tmp_path: Path) -> None:
    bad = {"outcome": 2.0}, {"outcome": None}, {"outcome": -1.0}, {"prompt": "  "}
    rows = [*ROWS, *({**ROWS[0], **changed} for changed in bad)] * 2000
    source, output = saved(tmp_path, rows, ".jsonl"), tmp_path / "out.parquet"
    report = import_table(source, output, skip_bad=True)
    assert report.n_read == 14_000
    assert report.n_written == len(read_comparisons(output).table) == 6000
    assert report.left_out == (Dropped(reason="blank prompt", n_rows=2000),)
    assert report.bad == (
        Dropped(reason="outcome is out of range", n_rows=4000),
        Dropped(reason="no outcome", n_rows=2000),
    )
    # Every row is written, left out or bad.
    n_dropped = sum(entry.n_rows for entry in (*report.left_out, *report.bad))
    assert report.n_written + n_dropped == report.n_read


@pytest.mark.parametrize("written", ENDINGS)
def test_a_bad_row_leaves_the_old_output_and_nothing_else(tmp_path: Path, written: str) -> None:
    rows = [*ROWS * 2000, {**ROWS[0], "outcome": 2.0}]
    source, output = saved(tmp_path, rows, ".jsonl"), tmp_path / f"out{written}"
    output.write_text("old")
    with pytest.raises(DataError, match=r"in\.jsonl, line 6001, column 'outcome': 2.0"):
        import_table(source, output)
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", output.name]


def test_a_file_may_be_imported_onto_itself(tmp_path: Path) -> None:
    for ending in ENDINGS:
        path = saved(tmp_path, ROWS, ending)
        import_table(path, path)
        assert len(read_comparisons(path).table) == 3


def test_prompts_are_short_by_their_characters_and_not_their_bytes(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "prompt": prompt} for prompt in ("日本語", "  abcd  ", "abcde")]
    report = import_table(
        saved(tmp_path, rows, ".csv"),
        tmp_path / "out.csv",
        options=ReadOptions(min_prompt_chars=5),
    )
    assert report.left_out == (Dropped(reason="prompt under 5 characters", n_rows=2),)


def test_the_label_source_can_be_named(tmp_path: Path) -> None:
    source = saved(tmp_path, ROWS, ".csv")
    import_table(source, tmp_path / "out.csv", options=ReadOptions(label_source="arena"))
    assert set(read_table(tmp_path / "out.csv")["source"]) == {"arena"}


def test_progress_is_told_after_every_batch(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    source = saved(tmp_path, ROWS * 3000, ".jsonl")
    import_table(source, tmp_path / "o.jsonl", watch=lambda *status: seen.append(status))
    done = [n_done for n_done, _ in seen]
    assert done == sorted(done)
    assert done[-1] == 9000
    assert {n_total for _, n_total in seen} == {9001}


def test_votes_of_many_models_keep_sparse_answers_through_csv(tmp_path: Path) -> None:
    header = ["id", "model_a", "model_b", "prompt", "response_a", "response_b"]
    header += ["winner_model_a", "winner_model_b", "winner_tie"]
    with (tmp_path / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for i in range(5000):
            prompt = json.dumps([f"A long question, number {i}"])
            answers = json.dumps([f"a{i}"]), json.dumps([f"b{i}"])
            writer.writerow([i, f"m{i % 50}", f"n{i % 7}", prompt, *answers, 1, 0, 0])
    for ending in ENDINGS:
        report = import_table(tmp_path / "train.csv", tmp_path / f"out{ending}")
        assert (report.n_written, len(report.models)) == (5000, 57)
        table = read_table(tmp_path / f"out{ending}")
        row = table.filter(pl.col("id") == 4321).to_dicts()[0]
        assert (row["answer|m21"], row["answer|n2"]) == ("a4321", "b4321")
        assert sum(value is not None for name, value in row.items() if "|" in name) == 2


def test_a_benchmarks_folder_is_imported_without_options(tmp_path: Path) -> None:
    folder = tmp_path / "gsm8k"
    folder.mkdir()
    (folder / "gsm8k_responses.csv").write_text("prompt,w\np1,True\np2,False\n")
    (folder / "contaminated_prompts.jsonl").write_text('{"eval_prompt": "p2"}\n')
    report = import_table(folder, tmp_path / "out.csv")
    assert (report.format, report.n_read, report.n_written) == ("routellm-eval", 2, 1)
    assert report.left_out == (Dropped(reason="on the decontamination list", n_rows=1),)
    assert import_table(folder, tmp_path / "out.csv", decontaminate=False).n_written == 2
    with pytest.raises(ConfigError, match="takes no options but --no-decontaminate"):
        import_table(folder, tmp_path / "out.csv", options=ReadOptions(min_prompt_chars=5))
    with pytest.raises(ConfigError, match="--no-decontaminate means nothing"):
        import_table(tmp_path / "out.csv", tmp_path / "o.csv", decontaminate=False)


SHARED = [
    # file, format, kind, rows, rows written by default, models
    ("alpacaeval1_vs_davinci003", "alpacaeval", "comparisons", 46_956, 46_839, 60),
    ("alpacaeval2_vs_gpt4turbo", "alpacaeval", "comparisons", 63_762, 63_608, 72),
    ("arena_topic_prompts", "native", "prompts", 22_877, 22_877, 0),
    ("llmrouter_uiuc_train", "matrix", "outcomes", 5_514, 5_514, 9),
    ("mmlu_pro_34models", "matrix", "outcomes", 12_032, 12_032, 34),
    ("pandalm_human_999", "pandalm", "comparisons", 999, 998, 5),
    ("routerdc_7models", "matrix", "outcomes", 20_469, 20_469, 7),
    ("zeroeval_matrix", "matrix", "outcomes", 2_840, 2_840, 60),
]


@pytest.mark.parametrize(("name", "format_", "kind", "n_read", "n_written", "n_models"), SHARED)
def test_every_shared_file_is_imported(
    shared_data: Path,
    tmp_path: Path,
    name: str,
    format_: str,
    kind: str,
    n_read: int,
    n_written: int,
    n_models: int,
) -> None:
    output = tmp_path / "out.parquet"
    report = import_table(shared_data / "train" / f"{name}.parquet", output)
    assert (report.format, report.kind, report.guessed) == (format_, kind, True)
    assert (report.n_read, report.n_written, len(report.models)) == (n_read, n_written, n_models)
    assert sum(entry.n_rows for entry in report.left_out) == n_read - n_written
    assert report.bad == ()
    if kind == "comparisons":
        assert len(read_comparisons(output).table) == n_written
    if kind == "outcomes":
        assert sorted(read_outcomes(output).table.models) == list(report.models)


def test_the_shared_file_on_another_scale_needs_it_named(shared_data: Path, tmp_path: Path) -> None:
    source, output = shared_data / "train" / "javidlakha_llama3_1Bvs70B.parquet", tmp_path / "o.csv"
    with pytest.raises(DataError, match=r"row 1, column 'score\|.*\(LOW, HIGH\)"):
        import_table(source, output)
    report = import_table(source, output, options=ReadOptions(quality_range=(1, 5)))
    assert (report.n_written, report.quality_range) == (1000, (1, 5))


@pytest.mark.parametrize(
    ("name", "n_read", "n_written"),
    [("mmlu", 14_042, 14_037), ("gsm8k", 1_319, 1_307), ("mt_bench", 80, 72)],
)
def test_the_shared_benchmarks_are_imported_without_what_their_authors_list(
    shared_data: Path, tmp_path: Path, name: str, n_read: int, n_written: int
) -> None:
    folder = shared_data / "benchmarks" / "routellm" / name
    report = import_table(folder, tmp_path / "out.jsonl")
    assert (report.n_read, report.n_written) == (n_read, n_written)


@pytest.mark.parametrize("name", ["arena_votes_10k_noprompt", "arena_leaderboard_2025-12"])
def test_shared_files_without_prompts_are_sent_to_tiers(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(DataError, match="routecast data tiers"):
        import_table(shared_data / "train" / f"{name}.parquet", tmp_path / "out.csv")


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
@pytest.mark.parametrize("name", ["pandalm_human_999", "arena_topic_prompts", "zeroeval_matrix"])
def test_shared_files_survive_the_way_through_text(
    shared_data: Path, tmp_path: Path, name: str, ending: str
) -> None:
    source = shared_data / "train" / f"{name}.parquet"
    direct, through = tmp_path / "direct.parquet", tmp_path / "through.parquet"
    report = import_table(source, direct)
    import_table(source, tmp_path / f"text{ending}")
    again = import_table(tmp_path / f"text{ending}", through)
    assert (again.n_written, again.n_prompts) == (report.n_written, report.n_prompts)
    one, other = pl.read_parquet(direct), pl.read_parquet(through)
    assert one.columns == other.columns
    flat = [column for column, dtype in one.schema.items() if not dtype.is_nested()]
    for column in flat:
        texts = one[column].cast(str) == other[column].cast(str)
        numbers = one[column].cast(float, strict=False) == other[column].cast(float, strict=False)
        empty = one[column].is_null() | (one[column].cast(str) == "")
        assert (texts.fill_null(value=False) | numbers.fill_null(value=False) | empty).all(), column
