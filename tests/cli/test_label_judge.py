"""`routecast label judge`: what it asks, refuses and prints."""

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from routecast.cli.label import app
from routecast.cli.main import app as main_app
from routecast.errors import ConfigError, DataError, RoutecastError
from routecast.testing import FakeUpstream, Refuse

ROWS = [
    {"prompt": "a secret question", "answer|big": "Four.", "answer|small": "Five, five."},
    {"prompt": "another question", "answer|big": "Six.", "answer|small": "Six."},
]
ALWAYS_FIRST = "The first one. [[A]]"


@pytest.fixture
def upstream(served: Callable[[FakeUpstream], str]) -> tuple[FakeUpstream, str]:
    """A judge that always likes the first answer, served by a thread; with its base URL."""
    fake = FakeUpstream("judge-1", answer=ALWAYS_FIRST)
    return fake, served(fake)


@pytest.fixture
def folder(
    upstream: tuple[FakeUpstream, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working folder with prompts and settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGE_KEY", "sk-a-secret-key")
    write_prompts(tmp_path)
    write_config(tmp_path, upstream[1])
    return tmp_path


def write_prompts(folder: Path, rows: Iterable[dict[str, str]] = ROWS) -> None:
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_config(folder: Path, base_url: str, *, price: str = "{ input = 1, output = 2 }") -> None:
    priced = f"price = {price}\n" if price else ""
    (folder / "routecast.toml").write_text(
        f'[models.wise]\nmodel = "judge-1"\nbase_url = "{base_url}"\napi_key = "env:JUDGE_KEY"\n'
        f'{priced}[models.other]\nmodel = "x"\nbase_url = "{base_url}"\napi_key = "env:NOT_SET"\n'
    )


def judge(*options: str, output: str = "out.jsonl", keyboard: str = "") -> Result:
    names = ["--strong", "big", "--weak", "small", "--judge", "wise"]
    arguments = ["judge", "--prompts", "p.jsonl", *names, "--output", output, *options]
    return CliRunner().invoke(app, arguments, input=keyboard)


def refusal(result: Result) -> RoutecastError:
    """The error that ``main`` turns into one message and exit code 1."""
    assert isinstance(result.exception, RoutecastError)
    return result.exception


def test_it_prints_the_figures_and_writes_comparisons(folder: Path) -> None:
    result = judge("--yes")
    assert result.exit_code == 0, result.output
    assert "2 of 2 prompts judged by wise" in result.stdout
    assert "tie  100.0%  (2, 1 where the two verdicts disagree, 1 of identical answers)" in (
        result.stdout
    )
    assert "verdict follows the position: 100.0% of 1 pairs (95% interval 20.7% to 100.0%; " in (
        result.stdout
    )
    assert "rank correlation of outcome and length: undefined (N = 2)" in result.stdout
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [(row["model_a"], row["model_b"], row["outcome"]) for row in rows] == [
        ("big", "small", 0.5),
        ("big", "small", 0.5),
    ]


def test_json_is_one_document_and_nothing_else_is_on_stdout(folder: Path) -> None:
    result = judge("--yes", "--json")
    document = json.loads(result.stdout)
    assert document["n_prompts"] == document["n_judged"] == 2
    assert (document["win_share"], document["tie_share"], document["loss_share"]) == (0, 1, 0)
    assert document["n_disagreements"] == 1
    assert document["position_bias"]["share"] == 1.0
    assert document["position_bias"]["interval_95"] == pytest.approx([0.2065, 1.0], abs=1e-4)
    assert document["length_correlation"] == {"spearman": None, "n": 2}
    assert document["output"] == "out.jsonl"
    assert document["journal"] == "out.jsonl.journal"


def test_the_estimate_comes_first_and_says_its_rule_once(folder: Path) -> None:
    result = judge("--yes")
    assert "2 prompts, 2 calls to make" in result.stderr
    assert "wise: 2 calls" in result.stderr
    assert result.stderr.count("tokens counted by") == 1
    assert "guessed at 400 for an answer and 150 for a verdict" in result.stderr


def test_neither_prompt_nor_key_is_printed(folder: Path) -> None:
    result = judge("--yes")
    for text in ("secret question", "sk-a-secret-key", "Four."):
        assert text not in result.stdout + result.stderr
    assert "secret question" not in (folder / "out.jsonl.journal").read_text()
    assert "sk-a-secret-key" not in (folder / "out.jsonl.journal").read_text()


def test_without_a_terminal_nothing_is_sent_unless_somebody_said_so(
    folder: Path, upstream: tuple[FakeUpstream, str]
) -> None:
    assert "say --yes or set --budget-usd" in str(refusal(judge()))
    assert upstream[0].n_requests == 0
    assert not (folder / "out.jsonl").exists()
    assert judge("--budget-usd", "1").exit_code == 0
    assert judge().exit_code == 0  # all of it is in the journal by now


@pytest.fixture
def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what CliRunner puts in place of the standard streams say that they are terminals."""
    import routecast.cli.label_judge as command

    class Streams:
        stdin = stderr = type("Terminal", (), {"isatty": staticmethod(lambda: True)})()

    monkeypatch.setattr(command, "sys", Streams)


@pytest.mark.usefixtures("on_a_terminal")
def test_on_a_terminal_it_asks(folder: Path, upstream: tuple[FakeUpstream, str]) -> None:
    declined = judge(keyboard="n\n")
    assert declined.exit_code == 1
    assert "Go on?" in declined.stderr
    assert upstream[0].n_requests == 0
    assert judge(keyboard="y\n").exit_code == 0


def test_a_budget_without_a_price_is_refused(
    folder: Path, upstream: tuple[FakeUpstream, str]
) -> None:
    write_config(folder, upstream[1], price="")
    assert "models.wise has none" in str(refusal(judge("--budget-usd", "1")))
    assert "no price known" in judge("--yes").stderr


def test_a_budget_that_is_too_small_is_refused_with_nothing_written(
    folder: Path, upstream: tuple[FakeUpstream, str]
) -> None:
    (folder / "p.jsonl").write_text(json.dumps(ROWS[0]))
    assert "raise --budget-usd" in str(refusal(judge("--budget-usd", "0.001")))
    assert upstream[0].n_requests == 0
    assert not (folder / "out.jsonl").exists()


def test_other_settings_want_another_journal(folder: Path) -> None:
    assert judge("--yes").exit_code == 0
    error = refusal(judge("--yes", "--mode", "grade"))
    assert isinstance(error, ConfigError)
    assert "mode was 'pairwise' and is now 'grade'" in str(error)
    result = judge("--yes", "--mode", "grade", "--journal", "other")
    assert isinstance(refusal(result), DataError)  # this judge gives no grades
    assert "two unreadable verdicts of 'wise'" in str(refusal(result))


@pytest.mark.parametrize(
    ("options", "output", "message"),
    [
        (("--config", "none.toml"), "out.jsonl", "no file 'none.toml'"),
        (("--judge", "nobody"), "out.jsonl", "model 'nobody' is not configured"),
        (("--strong", "huge"), "out.jsonl", r"answers in a column 'answer\|huge'"),
        (("--weak", "big"), "out.jsonl", "both 'big'"),
        (("--reference-column", "gold"), "out.jsonl", "no row of p.jsonl"),
        (("--journal", "p.jsonl"), "out.jsonl", "no journal"),
        ((), "p.jsonl", "would replace"),
        ((), "out.xlsx", "ending"),
        (("--strong", "other"), "out.jsonl", "'NOT_SET' is not set"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(
    folder: Path,
    upstream: tuple[FakeUpstream, str],
    options: tuple[str, ...],
    output: str,
    message: str,
) -> None:
    before = (folder / "p.jsonl").read_bytes()
    with pytest.raises(RoutecastError, match=message):
        raise refusal(judge("--yes", *options, output=output))
    assert upstream[0].n_requests == 0
    assert (folder / "p.jsonl").read_bytes() == before


def test_a_failed_run_leaves_the_old_output(
    folder: Path, upstream: tuple[FakeUpstream, str]
) -> None:
    (folder / "out.jsonl").write_text("old")
    upstream[0].misbehave(*(Refuse(status=401) for _ in range(10)))
    assert "status 401" in str(refusal(judge("--yes")))
    assert (folder / "out.jsonl").read_text() == "old"


def test_the_progress_shows_rate_and_spending_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from routecast.cli.judge_report import shown_progress
    from routecast.label.calls import CallCounts
    from routecast.label.run import RunStatus

    def status(n_done: int) -> RunStatus:
        counts = CallCounts(n_failed_attempts=2)
        return RunStatus(n_items=8, n_done=n_done, counts=counts, spent_usd=1.25)

    with shown_progress() as watch:
        watch(status(1))
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with shown_progress() as watch:
        watch(status(3))
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("3/8", "$1.2500", "/s", "2 failed tries"):
        assert part in err


def grade_or_prefer(request: dict[str, Any]) -> str:
    """Like long answers to hard questions, and short ones to the rest."""
    material = request["messages"][-1]["content"]
    texts = re.findall(r"(?ms)^===== ([A-Z ]+) \w+\n(.*?)\n(?====== )", material)
    (_, question), *answers = texts
    likes_long = "hard" in question
    if len(answers) == 1:
        return f"So. [[{10 if likes_long == ('long' in answers[0][1]) else 4}]]"
    return f"So. [[{'A' if likes_long == ('long' in answers[0][1]) else 'B'}]]"


@pytest.mark.parametrize(
    ("mode", "ending"), [("pairwise", "jsonl"), ("grade", "csv"), ("grade", "parquet")]
)
def test_every_later_command_reads_what_the_judge_wrote(
    served: Callable[[FakeUpstream], str], folder: Path, mode: str, ending: str
) -> None:
    write_config(folder, served(FakeUpstream("judge-1", answer=grade_or_prefer)))
    kinds = ["hard", "easy"] * 60
    write_prompts(
        folder,
        (
            {"prompt": f"{kind} question {i}", "answer|big": "a long one", "answer|small": "short"}
            for i, kind in enumerate(kinds)
        ),
    )
    labels = f"labels.{ending}"
    assert judge("--yes", "--mode", mode, output=labels).exit_code == 0
    pair = ["--strong", "big", "--weak", "small"]
    for command in (
        ["train", "ridge", "--outcomes", labels, *pair, "--output", "from-outcomes"],
        ["train", "ridge", "--comparisons", labels, *pair, "--output", "from-comparisons"],
        ["evaluate", "--benchmark", labels, *pair, "--output", "report", "--resamples", "100"],
        ["calibrate", "--outcomes", labels, *pair, "--min-quality", "0.5", "--router", "length"],
        ["label", "gold", "--outcomes", labels, *pair, "--output", f"gold.{ending}"],
        ["data", "split", labels, "--output", "parts"],
        ["calibrate", "--outcomes", f"parts/train.{ending}", *pair, "--strong-share", "0.3"],
    ):
        run = CliRunner().invoke(main_app, command)
        assert run.exit_code == 0, (command, run.output, run.exception)
