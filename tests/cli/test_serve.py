"""`routecast serve` and `routecast config check`, as processes and as functions."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from routecast.artifacts import load_artifact, router_folder, save_artifact
from routecast.cli import config as config_command
from routecast.cli.serve import serve
from routecast.errors import ArtifactError, ConfigError

SETTINGS = """
[models.big]
model = "gpt-5.2"
base_url = "http://127.0.0.1:1/v1"
api_key = "env:ROUTECAST_TEST_KEY"
[models.small]
model = "llama3.2"
base_url = "http://127.0.0.1:1/v1"
[routes.auto]
strong = "big"
weak = "small"
router = "random"
strong_share = 0.3
"""
SECRET = "sk-0123456789"

app = typer.Typer()
app.command()(serve)
app.add_typer(config_command.app, name="config")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that can be served, and the environment it needs."""
    monkeypatch.setenv("ROUTECAST_TEST_KEY", SECRET)
    path = tmp_path / "routecast.toml"
    path.write_text(SETTINGS)
    return path


def refusal_of(*arguments: str) -> Exception:
    """Run a command and return the error that it ends with."""
    run = CliRunner().invoke(app, arguments)
    assert isinstance(run.exception, Exception)
    return run.exception


@contextmanager
def served(settings: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """Run ``routecast serve`` on any free port until it has said where it is."""
    program = "import typer; from routecast.cli.serve import serve; typer.run(serve)"
    command = [sys.executable, "-c", program, "--config", str(settings), "--port", "0", *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        lines = []
        try:
            for line in server.stderr:
                lines.append(line.rstrip("\n"))
                if line.startswith("Ctrl-C"):
                    break
            address = re.search(r"https?://127\.0\.0\.1:\d+", "\n".join(lines))
            assert address is not None, lines
            yield server, address.group(), lines
        finally:
            server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_says_what_and_ends_cleanly(settings: Path, number: signal.Signals) -> None:
    with served(settings) as (server, address, lines):
        with urllib.request.urlopen(f"{address}/v1/models", timeout=30) as answer:
            names = [model["id"] for model in json.load(answer)["data"]]
        server.send_signal(number)
        assert server.wait(timeout=30) == 0
        assert server.stderr is not None
        assert server.stderr.read() == ""
    assert names == ["auto", "big", "small"]
    assert lines[0] == f"Routecast serves {address}/v1"
    assert lines[1] == (
        "  route auto: big when router random gives 0.7 or more (from uniform by construction), "
        "else small; big when it gives nothing"
    )
    assert f"curl -i {address}/v1/chat/completions" in lines[-2]
    assert SECRET not in "\n".join(lines)


def test_the_printed_curl_line_is_a_request_that_the_gateway_reads(settings: Path) -> None:
    with served(settings) as (_, address, lines):
        body = re.search(r"-d '(.*)'$", lines[-2])
        assert body is not None
        request = urllib.request.Request(
            f"{address}/v1/chat/completions", data=body.group(1).encode(), method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=30)
        caught.value.close()
    # Nobody listens on port 1, so the request was read, routed, and failed there.
    assert caught.value.status == 502
    assert caught.value.headers["x-routecast-reason"].endswith("_threshold")


def with_server(settings: Path, *lines: str) -> None:
    settings.write_text("\n".join([SETTINGS, "[server]", *lines]))


def test_a_host_beyond_this_machine_needs_keys_or_insecure(settings: Path) -> None:
    arguments = ["serve", "--config", str(settings), "--port", "0", "--host", "0.0.0.0"]
    assert "could spend your money; set client_keys" in str(refusal_of(*arguments))
    with_server(settings, 'host = "0.0.0.0"')
    assert "could spend your money; set client_keys" in str(refusal_of(*arguments[:5]))
    assert "could spend your money" in str(refusal_of("config", "check", "--config", str(settings)))
    with served(settings, "--insecure") as (_, address, lines):
        assert lines[-3] == "  http on 0.0.0.0: INSECURE: whoever reaches it may spend your money"
        named = urllib.request.Request(f"{address}/v1/models", headers={"host": "gateway.example"})
        with urllib.request.urlopen(named, timeout=30) as answer:
            assert answer.status == 200


def test_keys_are_asked_for_over_tls(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTECAST_TEST_CLIENT_KEY", "client-key")
    tls = Path(__file__).parents[1] / "gateway" / "tls"
    with_server(
        settings,
        'client_keys = ["env:ROUTECAST_TEST_CLIENT_KEY", "file:second.txt"]',
        f"tls_certificate = {json.dumps(str(tls / 'certificate.pem'))}",
        f"tls_key = {json.dumps(str(tls / 'key.pem'))}",
    )
    (settings.parent / "second.txt").write_text("second-key\n")
    trusting = ssl.create_default_context(cafile=tls / "certificate.pem")
    with served(settings) as (_, address, lines):
        assert address.startswith("https://")
        assert lines[-3] == "  https on 127.0.0.1: clients must show one of 2 keys"
        assert "-H 'authorization: Bearer YOUR_KEY'" in lines[-2]
        assert f"--cacert {tls / 'certificate.pem'} https://" in lines[-2]
        statuses, challenges = [], []
        for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Bearer second-key"}):
            request = urllib.request.Request(f"{address}/v1/models", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:
                    statuses.append(answer.status)
            except urllib.error.HTTPError as error:
                statuses.append(error.status)
                challenges.append(error.headers["www-authenticate"])
                error.close()
        assert (statuses, challenges) == ([401, 401, 200], ["Bearer", "Bearer"])
    assert "client-key" not in "\n".join(lines)


def test_a_log_of_requests_is_json_from_its_first_line_to_its_last(settings: Path) -> None:
    with_server(settings, 'log = "info"')
    program = "import typer; from routecast.cli.serve import serve; typer.run(serve)"
    command = [sys.executable, "-c", program, "--config", str(settings), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            first = json.loads(server.stderr.readline())
            assert (first["message"], first["routes"]) == ("serving", ["auto"])
            body = b'{"model": "nobody", "messages": []}'
            url = f"{first['address']}/v1/chat/completions"
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(url, data=body, timeout=30)
            caught.value.close()
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=30) == 0
            (line,) = server.stderr.read().splitlines()
        finally:
            server.kill()
    assert json.loads(line)["request_id"] == caught.value.headers["x-request-id"]
    assert json.loads(line)["error_code"] == "model_not_found"


class _Unfinished(BaseHTTPRequestHandler):
    """Begins a stream, or nothing where none is asked for, and then waits until it is let go."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if b"stream" in body:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b'data: {"choices": []}\n\n')
        self.server.is_over.wait(30)  # type: ignore[attr-defined]
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def unfinished_upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unfinished) as upstream:
        upstream.is_over = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{upstream.server_port}/v1"
        finally:
            upstream.is_over.set()  # type: ignore[attr-defined]
            upstream.shutdown()
            thread.join()


def test_ctrl_c_says_what_it_waits_for_and_again_tells_clients_and_ends(settings: Path) -> None:
    with unfinished_upstream() as url:
        settings.write_text(SETTINGS.replace("http://127.0.0.1:1/v1", url))
        with served(settings) as (server, address, _), ThreadPoolExecutor(1) as pool:
            chat, messages = f"{address}/v1/chat/completions", '"messages": []'
            body = f'{{"model": "small", {messages}, "stream": true}}'.encode()
            with urllib.request.urlopen(chat, data=body, timeout=30) as answer:
                assert answer.readline() == b'data: {"choices": []}\n'
                plain = f'{{"model": "small", {messages}}}'.encode()
                waiting = pool.submit(urllib.request.urlopen, chat, data=plain, timeout=30)
                time.sleep(0.5)
                server.send_signal(signal.SIGINT)
                assert server.stderr is not None
                line = server.stderr.readline()
                assert server.poll() is None
                server.send_signal(signal.SIGINT)
                event = answer.read().decode().strip()
            with pytest.raises(urllib.error.HTTPError) as caught:
                waiting.result()
            caught.value.close()
            assert server.wait(timeout=30) == 0
            assert server.stderr.read() == ""
    assert line == "waiting up to 10 s for 2 open answers; Ctrl-C again to stop at once\n"
    error = json.loads(event.removeprefix("data: "))["error"]
    assert error["message"] == "the gateway is stopping; try again"
    assert (caught.value.status, caught.value.headers["retry-after"]) == (503, "1")


def test_a_missing_client_key_or_tls_file_is_named(settings: Path) -> None:
    arguments = ["config", "check", "--config", str(settings)]
    with_server(settings, 'client_keys = ["env:NOT_SET"]')
    assert "server.client_keys[0]: environment variable 'NOT_SET'" in str(refusal_of(*arguments))
    with_server(settings, 'tls_certificate = "none.pem"', 'tls_key = "none.pem"')
    assert "server.tls_certificate" in str(refusal_of(*arguments))


def test_a_port_in_use_is_refused_before_anything_is_loaded(settings: Path) -> None:
    settings.write_text(SETTINGS.replace('"random"', '"nowhere"'))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = refusal_of("serve", "--config", str(settings), "--port", port)
    assert isinstance(error, ConfigError)
    assert f"port {port} on 127.0.0.1 is in use" in str(error)


def test_the_port_of_the_settings_is_used(settings: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings.write_text(f"{SETTINGS}[server]\nport = {port}\n")
        assert f"port {port} " in str(refusal_of("serve", "--config", str(settings)))


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["config", "check"]])
@pytest.mark.parametrize(
    ("before", "after", "error", "message"),
    [
        ("env:ROUTECAST_TEST_KEY", "env:NOT_SET", ConfigError,
         "models.big.api_key: environment variable 'NOT_SET' is not set"),
        ("strong_share", "strong_shares", ConfigError, "did you mean 'strong_share'?"),
        ('"random"', '"nowhere"', ConfigError, "unknown router 'nowhere'"),
        ('"random"', '"."', ArtifactError, "so it is no trained router"),
        ('"random"', '"length"', ConfigError, "routes.auto: router 'length' has no calibration"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_refused_in_one_message(
    settings: Path,
    command: list[str],
    before: str,
    after: str,
    error: type[Exception],
    message: str,
) -> None:
    settings.write_text(SETTINGS.replace(before, after))
    refusal = refusal_of(*command, "--config", str(settings))
    assert isinstance(refusal, error)
    assert message in str(refusal)


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    error = refusal_of("config", "check", "--config", str(tmp_path / "none.toml"))
    assert "there is no file" in str(error)


def test_a_port_that_is_none_is_wrong_usage(settings: Path) -> None:
    run = CliRunner().invoke(app, ["serve", "--config", str(settings), "--port", "70000"])
    assert run.exit_code == 2


def test_check_says_what_would_be_served(settings: Path) -> None:
    run = CliRunner().invoke(app, ["config", "check", "--config", str(settings)])
    assert run.exit_code == 0
    assert run.stdout.splitlines() == [
        "model big: gpt-5.2 at http://127.0.0.1:1/v1 (chat), key found",
        "model small: llama3.2 at http://127.0.0.1:1/v1 (chat), without a key",
        "route auto: big when router random gives 0.7 or more (from uniform by construction), "
        "else small; big when it gives nothing",
        "http on 127.0.0.1: programs on this machine may call it, without a key",
        f"{settings} can be served",
    ]


def test_check_says_of_which_sample_a_share_is(settings: Path) -> None:
    settings.write_text(SETTINGS.replace('router = "random"\n', ""))
    run = CliRunner().invoke(app, ["config", "check", "--config", str(settings)])
    notes = [line for line in run.stdout.splitlines() if line.startswith("  ")]
    sample = "16,440 prompts of Chatbot Arena"
    assert notes[0].startswith(f"  its goal is met on that calibration sample, {sample}; on your")
    assert "routecast calibrate --router default --prompts FILE" in notes[-1]
    run = CliRunner().invoke(app, ["config", "check", "--config", str(settings), "--json"])
    (route,) = json.loads(run.stdout)["routes"]
    assert route["calibration_sample"] == sample
    assert route["abstained_share"] == 0


def test_check_says_how_many_of_the_sample_had_no_score(settings: Path, tmp_path: Path) -> None:
    artifact = load_artifact(router_folder("default"))
    shy = msgspec.structs.replace(artifact.manifest.calibration, abstained_share=0.25)
    manifest = msgspec.structs.replace(artifact.manifest, calibration=shy)
    save_artifact(replace(artifact, manifest=manifest), tmp_path / "shy")
    settings.write_text(SETTINGS.replace('"random"', '"shy"'))
    run = CliRunner().invoke(app, ["config", "check", "--config", str(settings)])
    assert "  25.0% of the sample had no score, and counts as strong calls" in run.stdout
    assert "prompts unlike its labels get no score and go to the strong model" in run.stdout
    settings.write_text(SETTINGS.replace('"random"', '"shy"').replace("share = 0.3", "share = 0.2"))
    assert "routes.auto: strong_share 0.2 cannot be met" in str(
        refusal_of("config", "check", "--config", str(settings))
    )


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_check_says_of_a_given_threshold_that_unlike_prompts_get_no_score(
    settings: Path, tmp_path: Path, share: float
) -> None:
    artifact = load_artifact(router_folder("default"))
    manifest = msgspec.structs.replace(
        artifact.manifest,
        calibration=msgspec.structs.replace(
            artifact.manifest.calibration, abstained_share=share, outcomes=None
        ),
        settings={**artifact.manifest.settings, "least_familiarity": 0.1},
    )
    save_artifact(replace(artifact, manifest=manifest), tmp_path / "shy")
    given = SETTINGS.replace('"random"', '"shy"').replace("strong_share = 0.3", "threshold = 0.5")
    settings.write_text(given)
    run = CliRunner().invoke(app, ["config", "check", "--config", str(settings)])
    assert run.stdout.count("prompts unlike its labels get no score and go to the strong") == 1
    assert ("25.0% of its calibration sample, 16,440 prompts" in run.stdout) == (share > 0)


def test_check_prints_one_json_document(settings: Path) -> None:
    run = CliRunner().invoke(app, ["config", "check", "--config", str(settings), "--json"])
    document = json.loads(run.stdout)
    assert document["routes"][0]["threshold"] == pytest.approx(0.7)
    assert document["routes"][0]["calibration_sample"] == "uniform by construction"
    assert document["models"][0] == {
        "name": "big",
        "model": "gpt-5.2",
        "base_url": "http://127.0.0.1:1/v1",
        "apis": ["chat"],
        "has_key": True,
    }
    assert document["server"] == {
        "host": "127.0.0.1",
        "port": 6060,
        "tls": False,
        "n_client_keys": 0,
        "cors_origins": [],
    }
    assert SECRET not in run.stdout


def test_the_reference_names_every_table() -> None:
    run = CliRunner().invoke(app, ["config", "reference"])
    assert [line for line in run.stdout.splitlines() if line.startswith("## ")] == [
        "## `[models.NAME]`",
        "## `[models.NAME] price = { ... }`",
        "## `[routes.NAME]`",
        "## `[server]`",
    ]


def test_the_commands_load_nothing_heavy_until_they_run() -> None:
    program = "import sys, routecast.cli.serve, routecast.cli.config; print(*sys.modules)"
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    ).stdout.split()
    assert not {"aiohttp", "starlette", "pydantic", "uvicorn", "msgspec"} & set(loaded)


RESPONSES = SETTINGS.replace('/v1"\n', '/v1"\napis = ["chat", "responses"]\n')


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["config", "check"]])
def test_a_state_folder_that_is_a_file_is_refused_before_anything_is_announced(
    settings: Path, command: list[str]
) -> None:
    settings.write_text(f'{RESPONSES}[server]\nstate_folder = "state"\n')
    (settings.parent / "state").write_text("")
    run = CliRunner().invoke(app, [*command, "--config", str(settings)])
    assert isinstance(run.exception, ConfigError)
    assert "state' is no folder; let state_folder" in str(run.exception)
    assert run.output == ""


def test_a_missing_router_is_named_with_file_route_and_folder(settings: Path) -> None:
    settings.write_text(SETTINGS.replace('"random"', '"nowhere"'))
    message = str(refusal_of("config", "check", "--config", str(settings)))
    assert message.startswith(f"{settings}: routes.auto.router: unknown router 'nowhere'")
    assert message.endswith(f"looked in {str(settings.parent)!r}")


def test_a_missing_secret_file_is_named_with_the_folder(settings: Path) -> None:
    settings.write_text(SETTINGS.replace("env:ROUTECAST_TEST_KEY", "file:nokey.txt"))
    message = str(refusal_of("config", "check", "--config", str(settings)))
    assert "models.big.api_key: secret file 'nokey.txt' cannot be read" in message
    assert message.endswith(f"looked in {str(settings.parent)!r}")
