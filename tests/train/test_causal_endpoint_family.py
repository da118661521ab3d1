"""An endpoint calibrated on labels, by pipeline and command line."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from typer.testing import CliRunner

from routecast.artifacts import load_artifact, load_router
from routecast.cli.main import app
from routecast.errors import ConfigError, UpstreamError
from routecast.gateway.loading import load_routers
from routecast.policy.parse import parse_settings
from routecast.policy.settings import Settings
from routecast.testing import FakeFirstTokens, Refuse, serve_upstream
from routecast.train.causal_endpoint_family import EndpointSettings

T = TypeVar("T")
KEY = "sk-a-key-that-nobody-may-see"


def judge(text: str) -> Mapping[str, float]:
    """A model that sees what decides, more or less surely from prompt to prompt."""
    sure = 0.1 * (len(text) % 3)
    return {"A": 0.6 + sure, "B": 0.1, "C": 0.3 - sure} if "prove" in text else {
        "A": 0.1, "B": 0.3 - sure, "C": 0.6 + sure,
    }  # fmt: skip


def served(fake: FakeFirstTokens, work: Callable[[str], T]) -> T:
    async def serve() -> T:
        async with serve_upstream(fake) as base_url:
            return await asyncio.to_thread(work, base_url)

    return asyncio.run(serve())


def train(outcomes: Path, output: Path, url: str, *more: str) -> Any:  # noqa: ANN401
    arguments = [
        "train", "causal-endpoint", "--outcomes", str(outcomes), "--strong", "big",
        "--weak", "small", "--output", str(output), "--set", f"url={url}", "--set", "model=m-1",
        *more,
    ]  # fmt: skip
    return CliRunner().invoke(app, arguments)


def test_an_endpoint_is_calibrated_saved_and_scores(
    outcomes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, output = FakeFirstTokens("vllm", judge), tmp_path / "router"
    monkeypatch.setenv("JUDGE_KEY", KEY)

    def work(url: str) -> None:
        run = train(outcomes_file, output, url, "--set", "api_key=env:JUDGE_KEY", "--json")
        assert run.exit_code == 0, run.output
        document = json.loads(run.stdout)
        assert document["n_prompts"] == {"train": 400, "validation": 0, "test": 0}
        assert document["settings"]["labels_seen"] == {"A": 400, "B": 400, "C": 400}
        assert fake.n_requests == 400  # every prompt is asked about once
        source = tmp_path / "prompts.jsonl"
        source.write_text('{"prompt": "prove it"}\n{"prompt": "name it"}\n')
        scored = CliRunner().invoke(
            app,
            ["score", "--router", str(output), "--input", str(source), "--output", "-",
             "--endpoint", url, "--endpoint-key", "env:JUDGE_KEY"],
        )  # fmt: skip
        assert scored.exit_code == 0, scored.output
        hard, easy = (json.loads(line)["win_probability"] for line in scored.stdout.splitlines())
        assert hard > easy + 0.1

    served(fake, work)
    assert fake.requests[-1].header("authorization") == f"Bearer {KEY}"
    assert all(KEY.encode() not in path.read_bytes() for path in output.iterdir())
    manifest = load_artifact(output).manifest
    assert not {"url", "api_key", "template"} & manifest.settings.keys()
    assert "held-out" not in manifest.calibration.sample
    assert "cross-fitted" in manifest.calibration.sample
    stored = {one.metric: one.value for one in manifest.metrics}
    assert stored["router apgr"] > 0.55


def gateway(tmp_path: Path, *, model: str = "m-1", endpoint: str = "judge") -> Settings:
    return parse_settings(
        '[models.big]\nmodel = "b"\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[models.small]\nmodel = "s"\nbase_url = "http://127.0.0.1:1/v1"\n'
        f'[models.judge]\nmodel = "{model}"\nbase_url = "http://127.0.0.1:1/v1"\n'
        'api_key = "env:JUDGE_KEY"\n'
        '[routes.auto]\nstrong = "big"\nweak = "small"\nrouter = "router"\nstrong_share = 0.5\n'
        f'router_endpoint = "{endpoint}"\n',
        source="test",
    )


def test_the_settings_file_says_where_a_router_asks(outcomes_file: Path, tmp_path: Path) -> None:
    fake, output = FakeFirstTokens("vllm", judge), tmp_path / "router"
    assert served(fake, lambda url: train(outcomes_file, output, url)).exit_code == 0
    environ = {"JUDGE_KEY": KEY}
    loaded = load_routers(gateway(tmp_path), folder=tmp_path, environ=environ)["router"]
    assert loaded.count_cut(["x" * 16_001, "x"]) == 1
    with pytest.raises(ConfigError, match=r"models.judge.api_key: environment variable 'JUDGE_KEY"):
        load_routers(gateway(tmp_path), folder=tmp_path, environ={})
    with pytest.raises(ConfigError, match="calibrated on the model 'm-1', and router_endpoint"):
        load_routers(gateway(tmp_path, model="m-2"), folder=tmp_path, environ=environ)
    with pytest.raises(ConfigError, match="'jugde' is no configured model; choose one of"):
        gateway(tmp_path, endpoint="jugde")
    with pytest.raises(ConfigError, match="its folder does not say where; give --endpoint URL"):
        load_router(str(output))
    for flags in (["--endpoint-key", "env:JUDGE_KEY"], ["--endpoint", "localhost:1"]):
        run = CliRunner().invoke(app, ["route", "x", "--router", str(output), *flags])
        assert isinstance(run.exception, ConfigError)
        assert "--endpoint" in str(run.exception)


def test_a_refusing_model_ends_the_command_and_leaves_nothing(
    outcomes_file: Path, tmp_path: Path
) -> None:
    fake = FakeFirstTokens("openai", judge, gives_logprobs=False)
    run = served(fake, lambda url: train(outcomes_file, tmp_path / "router", url))
    with pytest.raises(ConfigError, match="it refuses 'logprobs'"):
        raise run.exception
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outcomes.jsonl"]


def test_a_run_that_failed_goes_on_and_pays_for_no_saved_answer_twice(
    outcomes_file: Path, tmp_path: Path
) -> None:
    fake, output = FakeFirstTokens("vllm", judge), tmp_path / "router"

    def work(url: str) -> None:
        fake.misbehave(*[None] * 250, *[Refuse(status=401)] * 10)
        with pytest.raises(UpstreamError, match=r"answered status 401.*with --resume to go on"):
            raise train(outcomes_file, output, url).exception
        assert not output.exists()
        n_before = fake.n_requests
        other = train(outcomes_file, output, url, "--resume", "--set", "max_chars=500")
        with pytest.raises(ConfigError, match="are another model's, or to another question"):
            raise other.exception
        assert fake.n_requests < n_before + 10  # some were under way
        fake.clear()
        assert train(outcomes_file, output, url, "--resume").exit_code == 0  # still there

    served(fake, work)


def test_saved_answers_are_not_asked_for_again(outcomes_file: Path, tmp_path: Path) -> None:
    fake, output = FakeFirstTokens("vllm", judge), tmp_path / "router"

    def work(url: str) -> None:
        fake.misbehave(*[None] * 250, *[Refuse(status=401)] * 10)
        assert isinstance(train(outcomes_file, output, url).exception, UpstreamError)
        fake.clear()
        n_before = fake.n_requests
        assert train(outcomes_file, output, url, "--resume").exit_code == 0
        n_asked = fake.n_requests - n_before
        assert 200 <= n_asked < 210  # the first 200 of 400 were saved; some were under way

    served(fake, work)


def test_prompts_without_a_label_are_counted(outcomes_file: Path, tmp_path: Path) -> None:
    def odd(text: str) -> Mapping[str, float]:
        return {"I": 1.0} if "rice" in text else judge(text)

    fake = FakeFirstTokens("llama.cpp", odd)
    run = served(fake, lambda url: train(outcomes_file, tmp_path / "router", url))
    assert run.exit_code == 0, run.output
    manifest = load_artifact(tmp_path / "router").manifest
    assert manifest.settings["n_abstained"] > 0
    assert np.isfinite(manifest.calibration.win_probability_quantiles).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "localhost:8000"}, "url 'localhost:8000'; accepted is an http"),
        ({"url": "http://me:secret@host/v1"}, "must hold no user or password"),
        ({"model": " "}, "model is empty"),
        ({"api_key": KEY}, "api_key must not be written out; give 'env:NAME'"),
        ({"api": "responses"}, r"api 'responses'; choose one of \['chat', 'completions'\]"),
        ({"labels": "abc"}, "labels 'abc'"),
        ({"n_top": 0}, "n_top 0 must be 1 or more"),
        ({"n_top": 21}, "servers return 20 at most"),
        ({"max_chars": 5}, "max_chars 5 must be 100 or more"),
        ({"timeout_s": 0.0}, "timeout_s 0.0"),
        ({"template": "none.txt"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_asked_are_refused(changes: dict[str, Any], message: str) -> None:
    given = {"url": "http://127.0.0.1:1/v1", "model": "m", **changes}
    with pytest.raises(ConfigError, match=message) as caught:
        EndpointSettings(**given).resolved()
    assert KEY not in str(caught.value)
