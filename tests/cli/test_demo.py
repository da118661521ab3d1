import json
import os
import re
import signal
import subprocess
import sys

PROGRAM = [sys.executable, "-c", "from routecast.cli.main import main; main()", "demo"]


def test_the_demo_prints_the_table_and_the_sums() -> None:
    run = subprocess.run(PROGRAM, capture_output=True, text=True, timeout=60, check=True)
    assert "simulated models" in run.stdout
    assert "Strong calls:" in run.stdout
    assert re.search(r"Cost: +\$0\.\d+ against \$0\.\d+ all strong: \d+% saved", run.stdout)
    assert re.search(r"Added latency: +-?\d+\.\d ms", run.stdout)


def test_the_demo_s_json_is_one_document() -> None:
    run = subprocess.run([*PROGRAM, "--json"], capture_output=True, timeout=60, check=True)
    document = json.loads(run.stdout)
    assert len(document["prompts"]) == 40
    assert document["gateway"] is None


def test_keep_leaves_the_gateway_up_until_ctrl_c() -> None:
    with subprocess.Popen(
        [*PROGRAM, "--keep"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        invitation = process.stderr.readline() + process.stderr.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert re.search(r"curl -i http://127\.0\.0\.1:\d+/v1/chat/completions", invitation)
    assert process.returncode == 130
    assert errors.strip().splitlines()[1:] == []


def test_real_models_without_a_key_are_refused() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    run = subprocess.run(
        [*PROGRAM, "--real", "a", "b"],
        capture_output=True, text=True, timeout=60, env=environ, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "OPENAI_API_KEY" in run.stderr
    assert run.stdout == ""
