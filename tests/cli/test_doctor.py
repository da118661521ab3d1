"""`routecast doctor`, against simulated upstreams."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from routecast.cli.doctor import doctor
from routecast.gateway import doctor as doctor_module
from routecast.gateway.doctor import Finding, State, examine
from routecast.gateway.probe import Probe
from routecast.testing import FakeUpstream, serve_upstream
from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint

KEY = "sk-upstream-secret"
SETTINGS = """
[models.big]
model = "simulated"
base_url = "{url}"
api_key = "env:BIG_KEY"
[models.small]
model = "simulated"
base_url = "{url}"
[routes.auto]
strong = "big"
weak = "small"
router = "random"
strong_share = 0.3
[server]
port = 0
"""


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., dict[str, Finding]]:
    """Examine settings, with replacements in them, beside a fake upstream."""

    async def run(replaced: dict[str, str], options: dict[str, Any]) -> dict[str, Finding]:
        async with serve_upstream(FakeUpstream("simulated")) as url:
            text = SETTINGS.format(url=url)
            for before, after in replaced.items():
                assert before in text
                text = text.replace(before, after)
            path = tmp_path / "routecast.toml"
            path.write_text(text)
            findings = await examine(path, {"BIG_KEY": KEY}, timeout_s=5, **options)
        assert KEY not in repr(findings)
        assert all((f.fix is None) == (f.state is State.OK) for f in findings)
        return {finding.subject: finding for finding in findings}

    def find(replaced: dict[str, str] | None = None, **options: bool) -> dict[str, Finding]:
        work: Awaitable[dict[str, Finding]] = run(replaced or {}, options)
        return asyncio.run(work)  # type: ignore[arg-type]

    return find


Find = Callable[..., dict[str, Finding]]


@pytest.mark.parametrize("asks", [False, True])
def test_all_is_well_with_a_gateway_that_can_be_served(find: Find, asks: bool) -> None:
    findings = find(asks=asks)
    assert {finding.state for finding in findings.values()} == {State.OK}
    assert list(findings) == [
        "settings", "server.port", "models.big.api_key", "models.big", "models.small",
        "routes.auto.router", "routes.auto.strong_share",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "subject", "state", "message"),
    [
        ("env:BIG_KEY", "env:NOT_SET", "models.big.api_key", State.FAULT, "'NOT_SET' is not set"),
        ('"random"', '"nowhere"', "routes.auto.router", State.FAULT, "unknown router 'nowhere'"),
        ('"random"', '"length"', "routes.auto.strong_share", State.FAULT, "no calibration sample"),
        ('model = "simulated"', 'model = "other"', "models.big", State.WARNING, "does not list"),
        ("port = 0", 'port = 0\nhost = "0.0.0.0"', "server.host", State.FAULT, "--insecure"),
        ("port = 0", 'client_keys = ["env:N"]', "server.client_keys", State.FAULT, "'N' is not"),
        ("port = 0", 'tls_certificate = "c"\ntls_key = "k"', "server.tls_certificate",
         State.FAULT, "cannot be read"),
        ("port = 0", 'port = 0\nhost = "192.0.2.1"', "server.port", State.WARNING, "no address of"),
    ],
)  # fmt: skip
def test_each_fault_is_found_under_its_setting_and_the_rest_goes_on(
    find: Find, before: str, after: str, subject: str, state: State, message: str
) -> None:
    findings = find({before: after})
    assert findings[subject].state is state
    assert message in findings[subject].message
    assert not findings[subject].message.startswith(f"{subject}: ")
    assert findings["models.small"].subject == "models.small"


def test_insecure_is_a_choice_that_leaves_a_warning_about_plain_http(find: Find) -> None:
    findings = find({"port = 0": 'port = 0\nhost = "0.0.0.0"'}, insecure=True)
    assert "server.host" not in findings
    assert findings["server.tls_certificate"].state is State.WARNING


def test_a_key_over_plain_http_to_another_machine_is_a_warning(
    find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def probe(endpoint: Endpoint, *, asks: Api | None, timeout_s: float) -> Probe:
        return Probe(message="well")

    monkeypatch.setattr(doctor_module, "probe_upstream", probe)
    address = 'base_url = "http://192.0.2.1/v1"\napi_key = "env:BIG_KEY"'
    findings = find({"[models.small]": f'[models.far]\nmodel = "m"\n{address}\n[models.small]'})
    assert findings["models.far.base_url"].state is State.WARNING
    assert "can be read on the way" in findings["models.far.base_url"].message


@pytest.mark.anyio
@pytest.mark.parametrize("asks", [False, True])
async def test_asking_tries_each_api_that_a_model_declares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asks: bool
) -> None:
    asked: list[tuple[str, Api | None]] = []

    async def probe(endpoint: Endpoint, *, asks: Api | None, timeout_s: float) -> Probe:
        asked.append((endpoint.name, asks))
        is_fault = asks is Api.MESSAGES
        return Probe(message=f"{asks}", fix="take it away" if is_fault else None, is_fault=is_fault)

    monkeypatch.setattr(doctor_module, "probe_upstream", probe)
    apis = 'apis = ["messages", "chat", "responses"]'
    path = tmp_path / "routecast.toml"
    text = SETTINGS.format(url="http://127.0.0.1:9/v1")
    path.write_text(text.replace("[models.small]", f"{apis}\n[models.small]"))
    findings = await examine(path, {"BIG_KEY": KEY}, timeout_s=5, asks=asks)
    found = [
        (finding.message, finding.state) for finding in findings if finding.subject == "models.big"
    ]
    if asks:
        assert sorted(asked) == [
            ("big", Api.CHAT), ("big", Api.MESSAGES), ("big", Api.RESPONSES), ("small", Api.CHAT),
        ]  # fmt: skip
        assert found == [("chat", State.OK), ("responses", State.OK), ("messages", State.FAULT)]
    else:
        assert asked == [("big", None), ("small", None)]
        assert found == [("None", State.OK)]


def test_faults_of_the_file_are_each_a_finding(find: Find) -> None:
    findings = find({"strong_share": "strong_shares", "weak =": "week ="})
    assert list(findings) == ["settings"]
    assert findings["settings"].state is State.FAULT


app = typer.Typer()
app.command()(doctor)


def test_the_command_prints_fixes_and_exits_with_1(tmp_path: Path) -> None:
    path = tmp_path / "routecast.toml"
    path.write_text(SETTINGS.format(url="http://127.0.0.1:1/v1"))
    run = CliRunner().invoke(app, ["--config", str(path)])
    assert run.exit_code == 1
    assert "fault    models.big.api_key: environment variable 'BIG_KEY' is not set" in run.stdout
    assert "\n         fix: start the upstream, or correct models.small.base_url\n" in run.stdout
    assert run.stdout.endswith("2 faults, 0 warnings\n")


def test_the_command_prints_one_json_document(tmp_path: Path) -> None:
    run = CliRunner().invoke(app, ["--config", str(tmp_path / "none.toml"), "--json"])
    assert run.exit_code == 1
    document = json.loads(run.stdout)
    assert (document["n_faults"], document["n_warnings"]) == (1, 0)
    assert document["findings"][0]["state"] == "fault"
    assert "there is no file" in document["findings"][0]["message"]


@pytest.mark.parametrize(
    ("folder", "state", "message"),
    [("new", State.OK, "can be written"), ("routecast.toml", State.FAULT, "is no folder")],
)
def test_the_state_folder_is_tried_where_a_route_serves_responses(
    find: Find, folder: str, state: State, message: str
) -> None:
    findings = find(
        {
            'model = "simulated"': 'model = "simulated"\napis = ["chat", "responses"]',
            "port = 0": f'port = 0\nstate_folder = "{folder}"',
        }
    )
    assert findings["server.state_folder"].state is state
    assert message in findings["server.state_folder"].message
