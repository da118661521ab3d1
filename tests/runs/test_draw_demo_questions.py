import gzip
import json
from importlib import import_module
from pathlib import Path

import pytest

from routecast.demo.questions import QUESTIONS_FILE

ROOT = Path(__file__).parents[2]


def test_the_shipped_questions_are_those_that_the_script_draws(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    script = import_module("runs.draw_demo_questions")
    folder = shared_data / "benchmarks" / "routellm" / "gsm8k"
    rows = script.draw_rows(folder)
    shipped = gzip.decompress(QUESTIONS_FILE.read_bytes()).decode()
    assert [json.loads(line) for line in shipped.splitlines()] == rows
    listed = (folder / "contaminated_prompts.jsonl").read_text()
    contaminated = {json.loads(line)["eval_prompt"] for line in listed.splitlines()}
    assert not contaminated & {row["prompt"] for row in rows}
