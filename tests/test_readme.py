"""What the README tells people to type works."""

import contextlib
import io
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from routecast.policy.parse import parse_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every command of the shell blocks, comments left out."""
    lines = (
        line.partition("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()
    )
    return [line for line in lines if line]


def test_the_commands_are_found() -> None:
    assert len(commands()) >= 6
    assert {"make demo", "make test", "pip install ."} < set(commands())


@pytest.mark.parametrize(
    "command", [line for line in commands() if re.match(r"routecast |echo .*\| routecast ", line)]
)
def test_routecast_commands_run(command: str, tmp_path: Path) -> None:
    (tmp_path / "routecast.toml").write_text(blocks("toml")[0].replace("6060", "0"))
    environ = os.environ | {
        "OPENAI_API_KEY": "sk-test",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    if "serve" in command:
        serve_briefly(command + " --port 0", tmp_path, environ)
        return
    run = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False,
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
    for target in re.findall(r"make (\w+)", "\n".join(commands())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
