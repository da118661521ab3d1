"""From routecast.toml on disk to settings, routers and endpoints."""

from pathlib import Path

import pytest

from routecast.errors import ConfigError
from routecast.gateway import loading
from routecast.gateway.loading import load_routers, read_settings, resolve_endpoints
from routecast.policy.parse import parse_settings
from routecast.upstream.prices import Price

SETTINGS = """
[models.big]
model = "b"
base_url = "http://127.0.0.1:1/v1"
api_key = "env:BIG_KEY"
price = { input = 1, output = 2 }
[models.small]
model = "s"
base_url = "http://127.0.0.1:1/v1"
[routes.auto]
strong = "big"
weak = "small"
router = "random"
strong_share = 0.2
"""


def test_a_file_becomes_settings(tmp_path: Path) -> None:
    (tmp_path / "routecast.toml").write_text(SETTINGS)
    assert list(read_settings(tmp_path / "routecast.toml").routes) == ["auto"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no file '.*routecast.toml'; name one with --"):
        read_settings(tmp_path / "routecast.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "routecast.toml").write_bytes(SETTINGS.encode("utf-16"))
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_settings(tmp_path / "routecast.toml")


def test_messages_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(SETTINGS + "[nonsense]")
    with pytest.raises(ConfigError, match=r"mine.toml: unknown key nonsense"):
        read_settings(tmp_path / "mine.toml")


def test_each_router_is_loaded_once_by_the_name_that_routes_use() -> None:
    settings = parse_settings(SETTINGS, source="test")
    routers = load_routers(settings, folder=Path())
    assert list(routers) == ["random"]


def test_a_router_s_folder_is_relative_to_the_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "length").mkdir()
    asked: list[str] = []
    monkeypatch.setattr(loading, "load_router", lambda name, **_: asked.append(name))
    for name in ("mine", "length", "default", "elsewhere"):
        text = SETTINGS.replace('"random"', f'"{name}"')
        load_routers(parse_settings(text, source="test"), folder=tmp_path)
    assert asked == [str(tmp_path / "mine"), "length", "default", "elsewhere"]


def test_endpoints_hold_the_resolved_secret_and_the_price() -> None:
    settings = parse_settings(SETTINGS, source="test")
    endpoints = resolve_endpoints(settings, {"BIG_KEY": "sk-big"})
    assert endpoints["big"].api_key == "sk-big"
    assert endpoints["big"].price == Price(input=1, output=2)
    assert endpoints["small"].api_key is None
    assert endpoints["small"].price is None


def test_a_missing_variable_is_named_with_the_setting_that_wants_it() -> None:
    settings = parse_settings(SETTINGS, source="test")
    with pytest.raises(ConfigError, match=r"models.big.api_key: environment variable 'BIG_KEY'"):
        resolve_endpoints(settings, {})


def test_an_endpoint_for_a_router_that_asks_none_is_refused() -> None:
    settings = parse_settings(SETTINGS + 'router_endpoint = "small"\n', source="test")
    with pytest.raises(ConfigError, match=r"routes.auto.router: router_endpoint = 'small' is for"):
        load_routers(settings, folder=Path())


def test_routes_that_share_a_router_load_it_in_one_way() -> None:
    again = SETTINGS[SETTINGS.index("[routes.auto]") :].replace("auto", "again")
    with pytest.raises(ConfigError, match="with another router_endpoint or router_embedder than"):
        parse_settings(f'{SETTINGS}{again}router_embedder = "static"\n', source="test")
    parse_settings(SETTINGS + again, source="test")


@pytest.mark.parametrize(
    ("named", "opened"),
    [
        ("static", "static"),
        ("sentence:OWNER/NAME", "sentence:OWNER/NAME"),
        ("sentence:mini", "sentence:{folder}/mini"),
    ],
)
def test_an_embedder_that_a_route_names_is_loaded_and_its_folder_is_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, opened: str
) -> None:
    (tmp_path / "mini").mkdir()
    names: list[str] = []
    monkeypatch.setattr(loading, "load_embedder", names.append)
    settings = parse_settings(f'{SETTINGS}router_embedder = "{named}"\n', source="test")
    load_routers(settings, folder=tmp_path)
    assert names == [opened.format(folder=tmp_path)]
