"""What the README tells people to type works."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routecast.policy.parse import parse_settings
from routecast.testing import FakeUpstream

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    """Every command of a shell block, comments left out."""
    lines = (line.partition("  #")[0].strip() for line in block.splitlines())
    return [line for line in lines if line]


def all_commands() -> list[str]:
    return [command for block in blocks("sh") for command in commands(block)]


def test_the_commands_are_found() -> None:
    assert len(all_commands()) >= 10
    assert {"make demo", "make test", "pip install ."} < set(all_commands())


def both_models_and_the_judge(request: dict[str, Any]) -> str:
    """Answer rightly, but for the weak model on what is hard; as the judge, like what is right."""
    text = request["messages"][-1]["content"]
    answers = re.findall(r"(?s)===== ANSWER [AB] \w+\n(.*?)\n=====", text)
    if answers:
        return f"So. [[{'A' if 'Right' in answers[0] else 'B'}]]"
    is_wrong = request["model"] == "llama3.2" and "Prove" in text
    return "Wrong." if is_wrong else "Right."


@pytest.fixture
def folder(tmp_path: Path, served: Callable[[FakeUpstream], str]) -> Path:
    """A folder with the files that the README's commands read, and models that answer."""
    url = served(FakeUpstream("any", answer=both_models_and_the_judge))
    settings = blocks("toml")[0].replace("6060", "0")
    (tmp_path / "routecast.toml").write_text(re.sub(r"https?://[^\"]*", url, settings))
    verbs = ["Prove by induction that", "Name the capital of"] * 200
    rows = [json.dumps({"prompt": f"{verb} case {i}"}) for i, verb in enumerate(verbs)]
    (tmp_path / "traffic.jsonl").write_text("\n".join(rows))
    labelled = [row for i, row in enumerate(rows) if i % 8 < 2]
    (tmp_path / "prompts.jsonl").write_text("\n".join(labelled))
    return tmp_path


@pytest.mark.parametrize(
    "block", [block for block in blocks("sh") if "routecast " in block.replace("/routecast", "")]
)
def test_routecast_commands_run_in_order(block: str, folder: Path) -> None:
    environ = os.environ | {
        "OPENAI_API_KEY": "sk-test",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    lines = [line for line in commands(block) if re.match(r"routecast |echo .*\| routecast ", line)]
    assert lines
    for command in lines:
        if "serve" in command:
            serve_briefly(command + " --port 0", folder, environ)
            continue
        if "label judge" in command:
            command += " --yes"  # noqa: PLW2901 (there is no terminal to ask on)
        run = subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        assert run.stdout


def serve_briefly(command: str, folder: Path, environ: dict[str, str]) -> None:
    """Start the server, wait until it says where it is, and stop it."""
    with subprocess.Popen(
        command.split(), cwd=folder, env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        announced = re.match(
            r"Routecast serves (http://127\.0\.0\.1:\d+)/v1", process.stderr.readline()
        )
        assert announced
        with urllib.request.urlopen(f"{announced[1]}/healthz", timeout=10) as answer:
            assert answer.status == 200
        process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(block: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(block, {})
    assert printed.getvalue()


def test_the_settings_are_accepted() -> None:
    settings = parse_settings(blocks("toml")[0], source="README.md")
    assert list(settings.routes) == ["auto"]


def test_make_knows_the_commands() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", "\n".join(all_commands())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
