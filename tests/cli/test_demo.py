import difflib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from routecast.testing import FakeUpstream

PROGRAM = [sys.executable, "-c", "from routecast.cli.main import main; main()", "demo"]


def test_the_demo_prints_the_curve_the_sentence_and_the_examples_in_80_columns() -> None:
    run = subprocess.run(PROGRAM, capture_output=True, text=True, timeout=60, check=True)
    assert "two upstreams replay the recorded answers: no model was asked" in " ".join(
        run.stdout.split()
    )
    assert re.search(r"^ +\d+% \| .*o", run.stdout, re.MULTILINE)
    assert re.search(
        r"\d+% of calls to GPT-4 kept \d+% \[\d+, \d+\] of its quality \(the goal was 90%\) and "
        r"saved \d+% \[\d+, \d+\] of the bill; a random choice of as many calls would have kept "
        r"\d+%, the longest questions \d+%\.",
        " ".join(run.stdout.split()),
    )
    examples = re.findall(r"^\d\.\d{3}  (GPT-4|Mixtral) +(right|wrong) ", run.stdout, re.MULTILINE)
    assert len(examples) == 8
    assert "24.7 and 0.24 US dollars per million tokens" in run.stdout
    assert "2024" in run.stdout
    assert run.stdout.partition("8 of the questions")[0].isascii()
    assert max(map(len, run.stdout.splitlines())) <= 80
    check_readme(run.stdout)


def check_readme(printed: str) -> None:
    """Compare with what the README shows; another machine's rounding may move a question or two."""
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    shown = readme.partition("```text\n")[2].partition("\n```")[0]
    printed = printed[printed.index(shown.splitlines()[0]) :].partition("\n\n8 of")[0]
    charts, sentences = zip(*(text.split("\n\n", 1) for text in (shown, printed)), strict=True)
    assert difflib.SequenceMatcher(None, charts[0], charts[1], autojunk=False).ratio() > 0.95
    words = [re.sub(r"[\d.]*\d", "#", " ".join(text.split())) for text in sentences]
    assert words[0] == words[1]
    numbers = [[float(n) for n in re.findall(r"[\d.]*\d", text)] for text in sentences]
    assert numbers[0] == pytest.approx(numbers[1], abs=1.0)


def test_the_demo_s_json_is_one_document() -> None:
    run = subprocess.run([*PROGRAM, "--json"], capture_output=True, timeout=60, check=True)
    document = json.loads(run.stdout)
    assert len(document["questions"]) == 1_000
    strong = [asked["model"] == "strong" for asked in document["questions"]]
    assert sum(strong) / 1_000 == document["figures"]["strong_share"]
    assert sum(asked["is_right"] for asked in document["questions"]) / 1_000 == document["quality"]
    assert document["goal"] == {"min_quality": 0.9}
    assert document["gateway"] is None


def test_keep_leaves_the_gateway_up_and_its_curl_line_works_until_ctrl_c() -> None:
    with subprocess.Popen(
        [*PROGRAM, "--keep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "The gateway stays up; Ctrl-C ends it. Try:\n"
        command = process.stderr.readline().replace("curl -i", "curl -is")
        assert process.poll() is None
        answered = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True
        )
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert "x-routecast-win-probability" in answered.stdout
    assert "no model" not in answered.stdout
    assert process.returncode == 130
    assert errors.strip() in {"", "routecast: interrupted"}


def test_real_models_answer_forty_prompts(served: Callable[[FakeUpstream], str]) -> None:
    upstream = FakeUpstream("stands-in-for-openai")
    environ = os.environ | {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": served(upstream)}
    run = subprocess.run(
        [*PROGRAM, "--real", "big", "small"],
        capture_output=True, text=True, timeout=60, env=environ, check=True,
    )  # fmt: skip
    assert upstream.n_requests == 40
    assert re.search(
        r"^Strong calls: \d+% of 40 prompts, threshold 0\.\d+", run.stdout, re.MULTILINE
    )


def test_real_models_without_a_key_are_refused() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    run = subprocess.run(
        [*PROGRAM, "--real", "a", "b"],
        capture_output=True, text=True, timeout=60, env=environ, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "OPENAI_API_KEY" in run.stderr
    assert run.stdout == ""
