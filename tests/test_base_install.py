"""An installation without extras: its commands, and its words about the rest."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement

from routecast.cli.main import app
from routecast.routers.families import family_names

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
README_COMMANDS = [
    command.strip()
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for command in (line.partition("  #")[0] for line in block.splitlines())
    if re.match(r"routecast |echo .*\| routecast ", command)
]
NEEDS = " needs the extra 'lab'; install it with: pip install 'routecast[lab]'\n"
PAIR = "--strong gpt-5.2 --weak llama3.2"
COMMANDS = {  # every command of the command line, with what it may be given
    "calibrate": "--prompts traffic.jsonl --strong-share 0.3",
    "config check": "",
    "config reference": "",
    "data check-leakage": "--training traffic.jsonl --evaluation traffic.jsonl",
    "data describe": "outcomes.jsonl",
    "data import": "outcomes.jsonl --output imported.jsonl",
    "data split": "outcomes.jsonl --output parts",
    "data tiers": "outcomes.jsonl",
    "demo": "",
    "doctor": "--timeout-s 0.1",
    "evaluate": "--benchmark mmlu --download --output report",
    "label gold": "--outcomes outcomes.jsonl --output gold.jsonl",
    "label judge": "--prompts traffic.jsonl --strong strong --weak weak --judge strong "
    "--output judged.jsonl --yes",
    "route": "hello",
    "score": "--input traffic.jsonl --output scored.csv",
    "serve": "--help",  # it would not end; what it does is in the README's commands
    "train": f"blend --outcomes outcomes.jsonl {PAIR} --output router",
}
NEED_LAB = {path for path in COMMANDS if path.startswith(("data ", "label ", "evaluate", "train"))}
OTHERS = [  # what takes another way through a command, and needs the extra there
    f"calibrate --outcomes outcomes.jsonl {PAIR} --strong-share 0.3",
    "score --input traffic.jsonl --output scored.parquet",
    "score --input table.parquet --output scored.jsonl",
    *(f"train {family} --outcomes outcomes.jsonl {PAIR} --output x" for family in family_names()),
]

RUN_ALL = """
import contextlib, io, json, sys, traceback
from routecast.cli.main import main

def run(arguments, text):
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    sys.argv, sys.stdin = ["routecast", *arguments], io.TextIOWrapper(io.BytesIO(text.encode()))
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            code = -1
            traceback.print_exc()
    return [code, *(stream.buffer.getvalue().decode() for stream in (out, err))]

given = json.load(sys.stdin)
print(json.dumps([run(arguments, text) for arguments, text in given]))
"""


@dataclass(frozen=True)
class Ran:
    """A command that was run without extras."""

    code: int
    stdout: str
    stderr: str


def base_distributions(name: str = "routecast", found: frozenset[str] = frozenset()) -> set[str]:
    """Name what an installation without extras brings."""
    names = set(found) | {name}
    for line in distribution(name).requires or []:
        required = Requirement(line)
        wanted = required.marker is None or required.marker.evaluate({"extra": ""})
        if wanted and required.name not in names:
            names |= base_distributions(required.name, frozenset(names))
    return names


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment where Python finds what an installation without extras brings, no more."""
    folder = tmp_path_factory.mktemp("base")
    packages, programs = folder / "packages", folder / "bin"
    packages.mkdir()
    programs.mkdir()
    for name in base_distributions():
        found = distribution(name)
        for entry in {file.parts[0] for file in found.files or []} - {".."}:
            if not entry.endswith(".pth") and not (packages / entry).exists():
                (packages / entry).symlink_to(str(found.locate_file(entry)))
    program = programs / "routecast"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -m routecast "$@"\n')
    program.chmod(0o755)
    return os.environ | {
        "OPENAI_API_KEY": "sk-test",
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(packages), str(ROOT / "src")]),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the commands read."""
    toml = re.search(r"^```toml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert toml is not None
    (tmp_path / "routecast.toml").write_text(toml[1])
    row = {"prompt": "What is the capital of France?", "quality|gpt-5.2": 1, "quality|llama3.2": 0}
    (tmp_path / "outcomes.jsonl").write_text(json.dumps(row))
    (tmp_path / "traffic.jsonl").write_text(json.dumps({"prompt": row["prompt"]}))
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    shutil.copytree(ROOT / "src" / "routecast" / "models" / "default", tmp_path / "my-router")
    return tmp_path


def run_all(commands: Sequence[str], folder: Path, environ: dict[str, str]) -> dict[str, Ran]:
    """Run commands of `routecast` one after the other in one process, each with its input."""
    given = []
    for command in commands:
        echoed, _, rest = command.rpartition(" | ")
        given.append([shlex.split(rest)[1:], " ".join(shlex.split(echoed)[1:])])
    run = subprocess.run(
        [sys.executable, "-S", "-c", RUN_ALL],
        input=json.dumps(given), cwd=folder, env=environ, capture_output=True, text=True,
        timeout=120, check=True,
    )  # fmt: skip
    results = [Ran(*result) for result in json.loads(run.stdout)]
    return dict(zip(commands, results, strict=True))


def all_paths(group: typer.Typer, before: str = "") -> Iterator[str]:
    """Yield what is typed after `routecast` for every command."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield before + (command.name or command.callback.__name__.replace("_", "-"))
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from all_paths(below.typer_instance, f"{before}{below.name} ")


def test_every_command_is_tried() -> None:
    assert sorted(all_paths(app)) == sorted(COMMANDS)


def test_every_help_is_shown_without_extras(folder: Path, environ: dict[str, str]) -> None:
    commands = [f"routecast {path} --help" for path in ["", *COMMANDS]]
    for command, ran in run_all(commands, folder, environ).items():
        assert (ran.code, ran.stderr) == (0, ""), command
        assert "Usage: routecast" in ran.stdout


def test_what_needs_an_extra_names_it_and_the_rest_works(
    folder: Path, environ: dict[str, str]
) -> None:
    commands = [f"routecast {path} {rest}" for path, rest in COMMANDS.items()]
    for command, ran in run_all(commands, folder, environ).items():
        path = next(path for path in COMMANDS if command.startswith(f"routecast {path} "))
        assert "Traceback" not in ran.stderr, command
        if path in NEED_LAB:
            refusal = f"routecast: `routecast {path}`{NEEDS}"
            assert (ran.code, ran.stdout, ran.stderr) == (1, "", refusal)
        else:
            assert ran.code == (1 if path == "doctor" else 0), ran  # no model answers the doctor


def test_whatever_way_through_a_command_needs_an_extra_names_it(
    folder: Path, environ: dict[str, str]
) -> None:
    for command, ran in run_all([f"routecast {way}" for way in OTHERS], folder, environ).items():
        assert ran.code == 1, command
        assert ran.stderr.endswith(NEEDS), command


def test_the_readme_says_what_works_without_extras(folder: Path, environ: dict[str, str]) -> None:
    served = [command for command in README_COMMANDS if "serve" in command]
    commands = [command for command in README_COMMANDS if command not in served]
    assert len(commands) >= 6
    for command in served:
        with subprocess.Popen(
            [*shlex.split(command), "--port", "0"],
            cwd=folder, env=environ, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            assert process.stderr.readline().startswith("Routecast serves http://127.0.0.1:")
            process.terminate()
    for command, ran in run_all(commands, folder, environ).items():
        assert ran.code == 0 or ran.stderr.endswith(NEEDS), (command, ran)
        assert "Traceback" not in ran.stderr
