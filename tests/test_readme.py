"""What the README tells people to type works."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from routecast.policy.parse import parse_settings

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the README's commands read."""
    (tmp_path / "routecast.toml").write_text(blocks("toml")[0].replace("6060", "0"))
    generator = np.random.default_rng(0)
    rows = []
    for number in range(400):
        is_hard = number % 2 == 0
        prompt = f"{'Prove by induction that' if is_hard else 'Name the capital of'} case {number}"
        weak = float(generator.random() < (0.2 if is_hard else 0.9))
        rows.append({"prompt": prompt, "quality|gpt-5.2": 1.0, "quality|llama3.2": weak})
    for name, columns in (("outcomes.jsonl", rows[0].keys()), ("traffic.jsonl", ["prompt"])):
        lines = [json.dumps({column: row[column] for column in columns}) for row in rows]
        (tmp_path / name).write_text("\n".join(lines))
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
