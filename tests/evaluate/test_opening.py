from pathlib import Path

import pytest

from routecast.errors import ConfigError, DataError
from routecast.evaluate import opening as opening_module
from routecast.evaluate.benchmarks import STRONG, WEAK
from routecast.evaluate.download import Publication, read_publication
from routecast.evaluate.opening import Opening, open_benchmark


def opening(tmp_path: Path, **options: object) -> Opening:
    return Opening(**{"folder": None, "downloads": tmp_path, **options})  # type: ignore[arg-type]


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_file_with_two_models_needs_no_names(tmp_path: Path) -> None:
    name = write(tmp_path / "mine.csv", "prompt,quality|small,quality|large\na,0,1\nb,1,1\n")
    benchmark = open_benchmark(name, opening(tmp_path))
    assert (benchmark.name, benchmark.strong, benchmark.weak) == ("mine", "large", "small")
    turned = open_benchmark(name, opening(tmp_path, strong="small"))
    assert (turned.strong, turned.weak) == ("small", "large")
    other = open_benchmark(name, opening(tmp_path, weak="large"))
    assert (other.strong, other.weak) == ("small", "large")


def test_more_models_are_listed_when_the_pair_is_open(tmp_path: Path) -> None:
    name = write(tmp_path / "m.csv", "prompt,quality|c,quality|a,quality|b\nx,0,1,1\n")
    with pytest.raises(ConfigError, match=r"m.csv has 3 models, .*\['a', 'b', 'c'\]"):
        open_benchmark(name, opening(tmp_path, strong="a"))
    assert open_benchmark(name, opening(tmp_path, strong="a", weak="c")).pair.strong == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "header"),
        ("prompt,quality|a,quality|b\n", "holds no rows"),
        ("prompt,quality|a\nx,1\n", "has one model, 'a'"),
        ("text,quality|a,quality|b\nx,1,1\n", "no column 'prompt'"),
        ("prompt,quality|a,quality|b\nx,1,7\n", "line 2, column 'quality|b': '7'"),
        ("prompt,model_a,model_b,outcome\nx,a,b,1\n", "holds comparisons"),
        ("prompt,qualityA\nx,1\n", "holds no outcomes: .*'quality|MODEL'"),
    ],
)
def test_what_is_no_file_of_outcomes_is_refused_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError, match=message.replace("|", r"\|")):
        open_benchmark(write(tmp_path / "bad.csv", text), opening(tmp_path))


def test_an_unknown_model_is_answered_with_the_nearest(tmp_path: Path) -> None:
    name = write(tmp_path / "m.csv", "prompt,quality|gpt-4o,quality|tiny\nx,0,1\n")
    with pytest.raises(DataError, match=r"no model 'gpt4o' among its 2; nearest are \['gpt-4o'\]"):
        open_benchmark(name, opening(tmp_path, strong="gpt4o"))


def test_other_scales_are_named(tmp_path: Path) -> None:
    name = write(tmp_path / "m.csv", "prompt,quality|a,quality|b\nx,10,1\n")
    benchmark = open_benchmark(name, opening(tmp_path, quality_range=(1.0, 10.0)))
    assert benchmark.pair.gap.tolist() == [1.0]


def test_a_published_layout_of_wide_columns_is_read_as_it_is(shared_data: Path) -> None:
    path = shared_data / "train" / "mmlu_pro_34models.parquet"
    models = {"strong": "gpt-4o", "weak": "Mixtral-8x7B-Instruct-v0.1"}
    assert len(open_benchmark(str(path), opening(shared_data, **models)).pair) == 12_032


@pytest.mark.parametrize(
    "place", ["", "benchmarks", "benchmarks/routellm", "benchmarks/routellm/gsm8k"]
)
def test_the_benchmarks_are_found_from_each_folder_that_holds_them(
    shared_data: Path, tmp_path: Path, place: str
) -> None:
    benchmark = open_benchmark("gsm8k", opening(tmp_path, folder=shared_data / place))
    assert (benchmark.strong, benchmark.weak, len(benchmark.pair)) == (STRONG, WEAK, 1307)


def test_the_published_pair_can_be_turned_round(shared_data: Path, tmp_path: Path) -> None:
    benchmark = open_benchmark("mt-bench", opening(tmp_path, folder=shared_data, strong=WEAK))
    assert (benchmark.strong, benchmark.weak) == (WEAK, STRONG)


def test_without_files_both_ways_to_get_them_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'mmlu' needs its files: .*--data, .*--download"):
        open_benchmark("mmlu", opening(tmp_path))
    with pytest.raises(DataError, match="there is no folder 'gsm8k'"):
        open_benchmark("gsm8k", opening(tmp_path, folder=tmp_path))
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        open_benchmark("gsm8k", opening(tmp_path, folder=tmp_path / "nowhere"))


def test_downloaded_files_are_used_without_asking_again(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def fetch(publication: Publication, name: str, folder: Path, **_: object) -> None:
        fetched.append(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.symlink_to(shared_data / "benchmarks" / "routellm")

    monkeypatch.setattr(opening_module, "download_benchmark", fetch)
    first = open_benchmark("mt-bench", opening(tmp_path / "kept", fetch=True))
    again = open_benchmark("mt-bench", opening(tmp_path / "kept"))
    assert fetched == ["mt_bench"]
    assert len(first.pair) == len(again.pair) == 72
    assert (tmp_path / "kept" / read_publication().commit[:12]).exists()
