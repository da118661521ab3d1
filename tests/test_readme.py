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

from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.run import evaluate_routers
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


def section_of(title: str) -> str:
    """The part of the benchmarks' page under a heading."""
    page = (ROOT / "results" / "benchmarks.md").read_text()
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def apgr_of(router: str, section: str) -> str:
    """A router's APGR with its interval, as the first table of a section has it."""
    found = re.search(rf"^\| \**{router}\** \| ([^|]+) \|", section, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    ("row", "title"), [("MMLU", "mmlu"), ("GSM8K", "gsm8k"), ("MT-Bench", "mt-bench")]
)
def test_the_table_agrees_with_the_benchmarks_page_to_the_digit(row: str, title: str) -> None:
    line = next(line for line in README.splitlines() if line.startswith(f"| {row} |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    _, n_prompts, default, length, *_, papers_best, oracle = cells
    section = section_of(title)
    assert f"N = {n_prompts};" in section
    assert (default, length) == (apgr_of("default", section), apgr_of("length", section))
    assert apgr_of("oracle", section).startswith(f"{oracle} [")
    paper = section.partition("The paper's routers")[2]
    assert papers_best == max(
        re.findall(r"^\| \S.* \| [^|]+ \| (\d\.\d{3}) \|", paper, re.MULTILINE)
    )


def test_every_figure_with_an_interval_stands_on_a_page_that_the_readme_names() -> None:
    pages = "".join(
        (ROOT / target).read_text()
        for target in sorted(set(re.findall(r"\]\((results/[\w/]+\.md)\)", README)))
    )
    figures = re.findall(r"[+-]?\d\.\d{3} (?:\[[^\]]+\]|± \d\.\d{3})", README)
    assert len(figures) > 10
    assert [figure for figure in figures if figure not in pages] == []


def test_an_evaluation_gives_what_page_and_table_say(shared_data: Path) -> None:
    study = evaluate_routers(load_benchmark("mt-bench", shared_data), {"default": "default"})
    for router in study.routers:
        if router.name in ("default", "length"):
            figure = router.metrics["apgr"]
            shown = f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
            assert shown == apgr_of(router.name, section_of("mt-bench"))
