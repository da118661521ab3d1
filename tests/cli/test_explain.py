"""Explanations of scores as a user sees them."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from routecast.artifacts import load_router, save_artifact
from routecast.cli.main import app
from routecast.data.outcomes import Outcomes
from routecast.embed.registry import load_embedder
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.sources import set_of_outcomes

PROMPT = "prove 1 2 3 that 4 5 6 rice 7 8 9 grows"


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A router of prompts in which strong is better where there are digits."""
    folder = tmp_path_factory.mktemp("ridge") / "router"
    generator = np.random.default_rng(0)
    words = generator.choice(["prove", "name", "rice", "trains", "1", "2", "37"], (150, 6))
    prompts = [" ".join(row) for row in words.tolist()]
    prompts = list(dict.fromkeys(prompts))
    quality = [min(1.0, sum(letter.isdigit() for letter in one) / 4) for one in prompts]
    table = pl.DataFrame({
        "prompt": prompts, "quality|big": quality, "quality|small": [0.0] * len(prompts)
    })  # fmt: skip
    trained = train_router(
        [set_of_outcomes(Outcomes(table=table, source="planted"), soft=True)],
        TrainSettings(router="ridge", strong=("big",), weak=("small",)),
        embedder=load_embedder("static"),
    )
    save_artifact(trained.artifact, folder)
    return folder


def run(*arguments: str | Path) -> str:
    """Run a command; return stdout, or raise what it raises."""
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False).stdout


def test_route_prints_what_counts_and_it_adds_up(ridge: Path) -> None:
    lines = run("route", PROMPT, "--router", ridge, "--explain").splitlines()
    assert lines[0].startswith("strong  (")
    assert lines[1] == "win probability before calibration:"
    start, *parts, total = [float(re.split(r"\s+", line.strip())[0]) for line in lines[2:]]
    assert start + sum(parts) == pytest.approx(total, abs=0.005)  # each is rounded to .001
    assert any(line.endswith(("many digits", "many numbers")) for line in lines[3:6])
    assert len(parts) <= 9
    assert lines[-1].endswith("this prompt")


def test_json_lists_every_feature_on_request(ridge: Path) -> None:
    document = json.loads(run("route", PROMPT, "--router", ridge, "--explain", "--json"))
    expected = load_router(str(ridge)).explain(PROMPT)
    found = document["explanation"]
    assert found["mean_prompt"] == expected.mean_prompt
    assert found["contributions"] == [vars(one) for one in expected.contributions]
    assert "explanation" not in json.loads(run("route", PROMPT, "--router", ridge, "--json"))
