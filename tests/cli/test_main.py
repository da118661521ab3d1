import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-c", "from routecast.cli.main import main; main()"]


def test_the_version_is_printed() -> None:
    run = subprocess.run([*PROGRAM, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("routecast 0.")


def test_being_told_to_end_leaves_no_file_in_the_making(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "score", "--input", "-", "--output", str(tmp_path / "scores.jsonl")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(b'{"prompt": "a"}\n' * 5_000)
        process.stdin.flush()
        deadline_s = time.monotonic() + 30
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert list(tmp_path.iterdir()) != []
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        process.stdin.close()
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_takes_nothing_is_one_message() -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run(
            [*PROGRAM, "route", "hi"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("routecast: the system refuses: No space left")
    assert "Traceback" not in run.stderr


def test_a_reader_that_leaves_is_no_error_message() -> None:
    run = subprocess.run(
        ["bash", "-c", 'yes \'{"prompt": "a"}\' | head -5000 | "$@" | head -1', "-", *PROGRAM,
         "score", "--input", "-", "--output", "-"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert run.stdout.startswith('{"prompt": "a", "win_probability": ')
    assert "Error" not in run.stderr


@pytest.mark.parametrize("arguments", [["route", "-"], ["score", "--input", "-", "--output", "-"]])
def test_a_closed_stdin_is_one_message(arguments: list[str]) -> None:
    run = subprocess.run(
        ["bash", "-c", '"$@" <&-', "-", *PROGRAM, *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith("routecast: there is no standard input to read")


def test_a_terminal_without_unicode_still_shows_the_demo() -> None:
    environ = os.environ | {"PYTHONIOENCODING": "ascii"}
    run = subprocess.run(
        [*PROGRAM, "demo"], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert "R routed   S all GPT-4   W all Mixtral" in run.stdout
