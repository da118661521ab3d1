"""Opening a table in a format that is named or guessed."""

import json
from pathlib import Path

import polars as pl
import pytest

from routecast.data.readers.context import ReadOptions
from routecast.data.readers.opening import open_table
from routecast.data.readers.registry import guess_format
from routecast.data.tally import Tally
from routecast.errors import ConfigError, DataError

VOTE = {"model_a", "model_b", "winner"}
FLAGS = {"winner_model_a", "winner_model_b", "winner_tie"}


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"id", "prompt", "model_a", "model_b", "response_a", *FLAGS}, "arena-55k"),
        (VOTE | {"conversation_a", "conversation_b", "turn", "language"}, "arena-conversations"),
        (VOTE | {"conversation_a", "conversation_b", "conv_metadata"}, "arena-140k"),
        (VOTE | {"full_conversation"}, "arena-140k"),
        (VOTE | {"conversation_a", "conversation_b", "evaluation_session_id"}, "arena-140k"),
        ({"instruction", "generator_1", "generator_2", "preference"}, "alpacaeval"),
        ({"prompt", "model", "reference", "p_model_wins"}, "alpacaeval"),
        (VOTE | {"prompt", "annotators"}, "pandalm"),
        (VOTE | {"prompt", "outcome"}, "native"),
        ({"prompt", "quality|m"}, "native"),
        ({"prompt", "m", "m|total_cost", "eval_name"}, "routerbench"),
        ({"query", "score|m", "cost|m"}, "matrix"),
        ({"question", "correct|m"}, "matrix"),
        ({"prompt", "m|total_cost"}, None),
        (VOTE, None),
        ({"prompt"}, None),
    ],
)
def test_columns_tell_the_format(columns: set[str], name: str | None) -> None:
    guessed = guess_format(columns)
    assert (guessed.name if guessed else None) == name


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("alpacaeval1_vs_davinci003", "alpacaeval"),
        ("arena_topic_prompts", "native"),
        ("javidlakha_llama3_1Bvs70B", "matrix"),
        ("pandalm_human_999", "pandalm"),
        ("zeroeval_matrix", "matrix"),
    ],
)
def test_the_shared_files_tell_their_format(shared_data: Path, file: str, name: str) -> None:
    opened = open_table(shared_data / "train" / f"{file}.parquet")
    assert (opened.table_format.name, opened.guessed) == (name, True)


@pytest.mark.parametrize("columns", [VOTE, {"model", "rating", "category"}])
def test_votes_without_prompts_and_leaderboards_are_sent_to_tiers(
    tmp_path: Path, columns: set[str]
) -> None:
    pl.DataFrame({name: ["x"] for name in columns}).write_csv(tmp_path / "t.csv")
    with pytest.raises(DataError, match=r"holds no prompts; .*routecast data tiers"):
        open_table(tmp_path / "t.csv")


def test_unknown_columns_are_refused_with_the_formats(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\nx,1\n")
    for name in (None, "native"):
        with pytest.raises(DataError, match=r"by its columns \['text', 'label'\].*--format.*arena"):
            open_table(tmp_path / "t.csv", format_name=name)


def test_an_option_that_means_nothing_here_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt,model_a,model_b,winner\nx,a,b,tie\n")
    opened = open_table(tmp_path / "t.csv")
    with pytest.raises(ConfigError, match="--group-column means nothing for format 'native'"):
        opened.read(ReadOptions(group_column="g"), Tally())
    with pytest.raises(ConfigError, match="--split 'train' means nothing for a file"):
        open_table(tmp_path / "t.csv", split="train")
    with pytest.raises(DataError, match="'routellm-eval' is a folder of files"):
        open_table(tmp_path / "t.csv", format_name="routellm-eval")


def test_prompts_are_read_from_messages_too(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"messages": [{"role": "user", "content": "one"}], "topic": "t"},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "two"}]},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    opened, tally = open_table(path), Tally(skip_bad=True)
    assert opened.kind == "prompts"
    _, batches = opened.read(ReadOptions(), tally)
    (batch,) = batches
    assert batch.table["prompt"].to_list() == ["one", "two"]
    assert batch.lines.tolist() == [1, 3]
    assert (tally.n_rows, tally.bad.total()) == (3, 1)
    with pytest.raises(DataError, match=r"p\.jsonl, line 2"):
        list(opened.read(ReadOptions(), Tally())[1])
