import errno
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from routecast.data.leakage import prompt_hash64
from routecast.data.outcomes import Outcomes
from routecast.errors import DataError
from routecast.evaluate.benchmarks import Benchmark
from routecast.evaluate.document import SCHEMA, SCHEMA_VERSION, study_document
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.output import METRICS_NAME, SCORES_NAME, check_output, write_evaluation
from routecast.evaluate.run import EvaluationSettings, evaluate_routers
from routecast.evaluate.study import Study


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the drawing, which has tests of its own and takes a second each time."""
    monkeypatch.setattr("routecast.evaluate.output.write_curve_pictures", lambda *_: None)


def make_study(name: str = "mine", *, tied: bool = False) -> Study:
    quality = [1.0, 0.0, 1.0, 0.0]
    table = pl.DataFrame(
        {
            "prompt": ["what", "why so", "how is it", "who was it then"],
            "group": ["a", "a", None, "b"],
            "quality|s": quality,
            "quality|w": quality if tied else [0.0, 0.0, 1.0, 1.0],
        }
    )
    benchmark = Benchmark(name=name, outcomes=Outcomes(table=table), strong="s", weak="w")
    return evaluate_routers(benchmark, {}, settings=EvaluationSettings(n_resamples=100))


@pytest.fixture(scope="module")
def study() -> Study:
    return make_study()


def test_the_document_is_finite_json_with_its_version(study: Study) -> None:
    document = study_document(make_study(tied=True))
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    assert (document["schema"], document["schema_version"]) == (SCHEMA, SCHEMA_VERSION)
    length = next(entry for entry in document["routers"] if entry["name"] == "length")
    assert length["metrics"]["apgr"]["value"] is None
    assert study_document(study)["n_groups"] == 3


def test_one_study_goes_into_the_folder_and_several_into_one_each(
    study: Study, tmp_path: Path
) -> None:
    write_evaluation([study], tmp_path / "deep" / "one")
    assert {METRICS_NAME, SCORES_NAME} <= {p.name for p in (tmp_path / "deep" / "one").iterdir()}
    write_evaluation([study, make_study("other"), study], tmp_path / "two")
    inside = sorted(path.name for path in (tmp_path / "two").iterdir())
    assert inside == [METRICS_NAME, "mine", "mine-2", "other"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "two"]  # nothing left over


def test_results_replace_results_and_nothing_else(study: Study, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    write_evaluation([study], output)  # an empty folder is free
    write_evaluation([study, make_study("other")], output)
    write_evaluation([study], output)
    assert (output / SCORES_NAME).exists()
    (output / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds 'notes.txt'"):
        write_evaluation([study], output)
    assert (output / "notes.txt").read_text() == "mine"


def test_a_parent_of_results_is_not_taken_for_results(study: Study, tmp_path: Path) -> None:
    write_evaluation([study], tmp_path / "parent" / "first")
    with pytest.raises(DataError, match="holds 'first'"):
        check_output(tmp_path / "parent")


def test_what_the_user_put_into_one_of_several_folders_is_kept(
    study: Study, tmp_path: Path
) -> None:
    write_evaluation([study, make_study("other")], tmp_path / "out")
    (tmp_path / "out" / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds 'mine'"):
        check_output(tmp_path / "out")


def test_a_file_in_the_place_of_the_folder_is_refused(study: Study, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="is a file; name a folder"):
        write_evaluation([study], tmp_path / "out")


def test_a_failure_leaves_what_was_there(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_evaluation([study], tmp_path / "out")
    before = (tmp_path / "out" / METRICS_NAME).read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise DataError("no")

    monkeypatch.setattr("routecast.evaluate.output._write_scores", fail)
    with pytest.raises(DataError, match=r"^no$"):
        write_evaluation([study], tmp_path / "out")
    assert (tmp_path / "out" / METRICS_NAME).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_scores_stand_beside_the_prompts_or_their_hashes(study: Study, tmp_path: Path) -> None:
    write_evaluation([study], tmp_path / "with")
    write_evaluation([study], tmp_path / "without", with_prompts=False)
    told = pl.read_parquet(tmp_path / "with" / SCORES_NAME)
    assert told["prompt"].to_list() == list(study.prompts)
    assert told["quality|s"].to_list() == [1.0, 0.0, 1.0, 0.0]
    assert told["win_probability|oracle"].to_list() == [1.0, 0.0, 0.0, -1.0]
    hashed = pl.read_parquet(tmp_path / "without" / SCORES_NAME)
    assert hashed["prompt_hash"][0] == f"{prompt_hash64('what'):016x}"
    for path in (tmp_path / "without").iterdir():
        assert b"who was it then" not in path.read_bytes()


def test_scores_of_abstentions_are_null(study: Study, tmp_path: Path) -> None:
    from dataclasses import replace

    abstained = np.array([False, True, False, False])
    router = replace(study.routers[0], name="shy", fixed=FixedBlock(abstained, "strong"))
    write_evaluation([replace(study, routers=(router,))], tmp_path / "out")
    scores = pl.read_parquet(tmp_path / "out" / SCORES_NAME)["win_probability|shy"]
    assert scores.is_null().to_list() == abstained.tolist()


def test_a_limit_on_file_sizes_is_told_of_the_folder_that_was_named(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, path: Path, **__: object) -> None:
        error = OSError(errno.EFBIG, "File too large", str(path))
        raise DataError(f"cannot write {str(path)!r}") from error

    monkeypatch.setattr("routecast.evaluate.output.write_report", refuse)
    with pytest.raises(DataError, match=r"cannot write '[^']*/report': File too large; make room"):
        write_evaluation([study], tmp_path / "report")
    assert list(tmp_path.iterdir()) == []
