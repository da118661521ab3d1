"""How far an expected gap may be off, where a user sees it."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from routecast.artifacts import load_router, save_artifact
from routecast.cli.main import app
from routecast.data.outcomes import Outcomes
from routecast.embed.registry import load_embedder
from routecast.errors import ConfigError
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.sources import set_of_outcomes

PROMPTS = ["prove that rice grows", "name a train", "\U0001f600"]


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blend") / "router"
    generator = np.random.default_rng(0)
    words = generator.choice(["prove", "name", "rice", "trains", "seven", "rivers"], (130, 4))
    prompts = [f"{' '.join(row)} {number}" for number, row in enumerate(words.tolist())]
    qualities = {"big": [float("prove" in one) for one in prompts], "small": [0.0] * 130}
    columns = {f"quality|{name}": values for name, values in qualities.items()}
    outcomes = Outcomes(table=pl.DataFrame({"prompt": prompts, **columns}), source="planted")
    settings = TrainSettings(router="blend", strong=("big",), weak=("small",))
    trained = train_router(
        [set_of_outcomes(outcomes, soft=True)], settings, embedder=load_embedder("static")
    )
    save_artifact(trained.artifact, folder)
    return folder


def run(*arguments: str | Path) -> str:
    """Run a command; return stdout, or raise what it raises."""
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False).stdout


def test_route_states_the_deviation_of_a_router_that_knows_it(blend: Path) -> None:
    document = json.loads(run("route", PROMPTS[0], "--router", blend, "--json"))
    expected = load_router(str(blend)).gap_deviations(PROMPTS[:1])
    assert expected is not None
    assert document["gap_deviation"] == pytest.approx(expected[0], abs=1e-6)
    assert 0.0 < document["gap_deviation"] < 1.0


def test_route_states_none_of_a_router_that_knows_none() -> None:
    assert json.loads(run("route", PROMPTS[0], "--json"))["gap_deviation"] is None
    assert load_router("length").gap_deviations(PROMPTS) is None


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_score_adds_a_column_on_request(blend: Path, tmp_path: Path, ending: str) -> None:
    source, output = tmp_path / "prompts.jsonl", tmp_path / f"scores.{ending}"
    source.write_text("".join(json.dumps({"prompt": one}) + "\n" for one in PROMPTS))
    options = ("--input", source, "--output", output, "--router", blend)
    run("score", *options, "--deviation")
    read = pl.read_ndjson if ending == "jsonl" else pl.read_parquet
    expected = load_router(str(blend)).gap_deviations(PROMPTS)
    assert read(output)["gap_deviation"].to_numpy() == pytest.approx(expected, abs=1e-6)
    run("score", *options)
    assert "gap_deviation" not in read(output).columns


def test_score_refuses_to_guess_a_deviation(tmp_path: Path) -> None:
    source = tmp_path / "prompts.jsonl"
    source.write_text('{"prompt": "one"}\n')
    with pytest.raises(ConfigError, match="router 'default' does not know how far"):
        run("score", "--input", source, "--output", tmp_path / "o.jsonl", "--deviation")
    assert not (tmp_path / "o.jsonl").exists()
