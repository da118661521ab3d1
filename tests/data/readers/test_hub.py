"""Data sets of the Hub, with a `datasets` of our own: there is no network here."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from routecast.data.importing import import_table
from routecast.data.readers.hub import open_hub
from routecast.data.tally import Tally
from routecast.errors import DataError, MissingExtraError

Load = Callable[[str], Any]
ROWS = [{"prompt": "one", "n": 1}, {"prompt": "two", "n": 2}]


class DatasetsError(Exception):
    """As in `datasets.exceptions`."""


class DatasetNotFoundError(DatasetsError, FileNotFoundError):
    """Likewise."""


@pytest.fixture
def fake_datasets(monkeypatch: pytest.MonkeyPatch) -> Callable[[Load], None]:
    """Install a module `datasets` whose `load_dataset` is the given function."""

    def install(load: Load) -> None:
        module = ModuleType("datasets")
        module.load_dataset = load  # type: ignore[attr-defined]
        module.exceptions = SimpleNamespace(DatasetsError=DatasetsError)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "datasets", module)

    return install


def failing(error: Exception) -> Load:
    def load(_: str) -> Any:  # noqa: ANN401 (never returns)
        raise error

    return load


def test_the_rows_of_the_only_split_are_read(fake_datasets: Callable[[Load], None]) -> None:
    asked = []

    def load(dataset_id: str) -> dict[str, Any]:
        asked.append(dataset_id)
        return {"test": ROWS}

    fake_datasets(load)
    source = open_hub("hf:lmsys/votes")
    (batch,) = source.batches(Tally())
    assert asked == ["lmsys/votes"]
    assert (source.name, source.columns, source.n_numbers) == ("hf:lmsys/votes", ("prompt", "n"), 2)
    assert batch.table.to_dicts() == ROWS


def test_of_several_splits_train_is_taken_or_the_one_named(
    fake_datasets: Callable[[Load], None],
) -> None:
    fake_datasets(lambda _: {"test": ROWS[:1], "train": ROWS})
    assert open_hub("hf:a/b").n_numbers == 2
    assert open_hub("hf:a/b", split="test").n_numbers == 1
    with pytest.raises(DataError, match=r"no split 'dev'; give --split with one of \['test', 'tr"):
        open_hub("hf:a/b", split="dev")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            DatasetNotFoundError(
                "Dataset 'a/b' is a gated dataset on the Hub. You must be authenticated to access"
            ),
            "'a/b' is gated or private: .*accept its terms on https://huggingface.co/datasets/a/b",
        ),
        (
            ConnectionError("Couldn't reach 'a/b' on the Hub (OfflineModeIsEnabled)"),
            "'a/b' cannot be fetched: .*OfflineModeIsEnabled.*; go online once, or download",
        ),
        (DatasetNotFoundError("Dataset 'a/b' doesn't exist"), "cannot be loaded.*check the id"),
        (ValueError("Config name is missing.\nPlease pick one"), "Config name is missing.; check"),
        (DatasetsError(""), "cannot be loaded: DatasetsError"),
    ],
)
def test_what_keeps_a_data_set_from_loading_is_said(
    fake_datasets: Callable[[Load], None], error: Exception, message: str
) -> None:
    fake_datasets(failing(error))
    with pytest.raises(DataError, match=message):
        open_hub("hf:a/b")


def test_the_extra_is_named_where_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # import fails, also where it is installed
    with pytest.raises(MissingExtraError, match=r"hf:a/b needs the extra 'hub'.*routecast\[hub\]"):
        open_hub("hf:a/b")


def test_an_empty_id_is_refused() -> None:
    with pytest.raises(DataError, match="names no data set; accepted is hf:OWNER/NAME"):
        open_hub("hf:")


def test_a_data_set_is_imported_in_the_format_of_its_columns_with_its_id_as_the_source(
    fake_datasets: Callable[[Load], None], tmp_path: Path
) -> None:
    vote = {
        "id": 1,
        "model_a": "x",
        "model_b": "y",
        "prompt": '["A question that is long", null]',
        "response_a": '["yes"]',
        "response_b": "[null]",
        "winner_model_a": 0,
        "winner_model_b": 1,
        "winner_tie": 0,
    }
    fake_datasets(lambda _: {"train": [vote, vote]})
    report = import_table("hf:routellm/gpt4_judge_battles", tmp_path / "out.jsonl")
    assert (report.format, report.n_written, report.n_prompts) == ("arena-55k", 2, 1)
    first, _ = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(first) == {
        "prompt": "A question that is long",
        "model_a": "x",
        "model_b": "y",
        "outcome": 0.0,
        "source": "routellm/gpt4_judge_battles",
        "answer|x": "yes",
        "id": 1,
    }
