import json
import subprocess
import sys

import pytest

from routecast.artifacts import load_router


def routecast(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    program = [sys.executable, "-c", "from routecast.cli.main import main; main()"]
    return subprocess.run(
        [*program, *arguments], input=stdin, capture_output=True, timeout=60, check=False
    )


def test_a_prompt_is_routed_with_its_probability_and_threshold() -> None:
    run = routecast("route", "Prove that there are infinitely many primes.", "--threshold", "0")
    probability = load_router().router.win_probabilities(
        ["Prove that there are infinitely many primes."]
    )[0]
    expected = f"strong  (win probability {probability:.3f} >= 0.000)"
    assert (run.returncode, run.stdout.decode().strip()) == (0, expected)


def test_json_is_one_document_on_stdout() -> None:
    run = routecast("route", "Hello there", "--strong-share", "0.25", "--json")
    document = json.loads(run.stdout)
    quantiles = load_router().win_probability_quantiles
    assert quantiles is not None
    assert document["threshold"] == pytest.approx(quantiles[750], abs=1e-5)
    assert document["model"] in {"strong", "weak"}
    assert (document["strong_share"], document["router"]) == (0.25, "default")


def test_a_dash_reads_the_prompt_from_stdin() -> None:
    by_argument = routecast("route", "What is 2 + 2?", "--json")
    by_stdin = routecast("route", "-", "--json", stdin=b"What is 2 + 2?")
    assert json.loads(by_stdin.stdout) == json.loads(by_argument.stdout)


def test_bytes_that_are_no_text_still_score() -> None:
    run = routecast("route", "-", "--json", stdin=b"caf\xe9 \xff")
    assert 0 < json.loads(run.stdout)["win_probability"] < 1


def test_a_threshold_above_the_probability_chooses_weak() -> None:
    run = routecast("route", "Hello", "--threshold", "1", "--json")
    assert json.loads(run.stdout)["reason"] == "below_threshold"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["route", "Hi", "--router", "defualt"], 1, "unknown router 'defualt'; choose one of"),
        (["route", "   "], 1, "the prompt is empty"),
        (["route", "-"], 1, "the prompt is empty"),
        (["route", "Hi", "--router", "length"], 1, "give a threshold instead"),
        (
            ["route", "Hi", "--router", "length", "--threshold", "0.5", "--explain"],
            1,
            "router 'length' cannot say which features count",
        ),
        (["route", "Hi", "--strong-share", "0.1", "--threshold", "0.5"], 2, "not both"),
        (["route", "Hi", "--strong-share", "30"], 2, "did you mean 0.3?"),
        (["route"], 2, "Missing argument"),
        (["rout"], 2, "No such command"),
    ],
)
def test_refusals_have_one_message_and_an_exit_code(
    arguments: list[str], code: int, message: str
) -> None:
    run = routecast(*arguments)
    assert run.returncode == code
    assert message in run.stderr.decode()
    assert run.stdout == b""
    assert b"Traceback" not in run.stderr


def test_a_damaged_router_is_refused_by_name(tmp_path: pytest.TempPathFactory) -> None:
    run = routecast("route", "Hi", "--router", str(tmp_path))
    assert run.returncode == 1
    assert b"holds no manifest.json" in run.stderr
