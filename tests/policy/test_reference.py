"""The reference of the settings."""

import textwrap
from pathlib import Path

import pytest
from pydantic import BaseModel

from routecast.policy.decide import Reason
from routecast.policy.model_settings import ModelSettings, PriceSettings
from routecast.policy.parse import parse_settings
from routecast.policy.reference import write_reference
from routecast.policy.route_settings import RouteSettings
from routecast.policy.settings import ServerSettings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "configuration.md"


def test_the_committed_page_is_what_the_settings_say() -> None:
    stale = "run: routecast config reference > docs/configuration.md"
    assert PAGE.read_text(encoding="utf-8") == write_reference(), stale


@pytest.mark.parametrize("table", [ModelSettings, PriceSettings, RouteSettings, ServerSettings])
def test_every_key_has_a_row_with_a_meaning(table: type[BaseModel]) -> None:
    rows = [line for line in write_reference().splitlines() if line.startswith("| `")]
    for name in table.model_fields:
        (row,) = [r for r in rows if r.startswith(f"| `{name}` |") and _meaning(table, name) in r]
        assert row.count(" | ") == 3


def _meaning(table: type[BaseModel], name: str) -> str:
    description = table.model_fields[name].description
    assert description
    return " ".join(description.split())


def test_types_bounds_and_defaults_are_in_toml_s_words() -> None:
    page = write_reference()
    assert "| `port` | whole number from 0 to 65535 | `6060` |" in page
    assert "| `tools` | true, false | `true` |" in page
    assert '| `on_router_error` | `"strong"`, `"weak"` | `"strong"` |' in page
    assert "| `threshold` | number from 0 to 1 | not set |" in page
    assert "| `strong` | text | needed |" in page


def test_the_gateway_page_shows_settings_that_are_accepted_and_names_every_reason() -> None:
    page = (DOCS / "gateway.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("    # routecast.toml\n")
    example, _, _ = rest.partition("\n[configuration.md]")
    settings = parse_settings(textwrap.dedent(example), source="docs/gateway.md")
    assert list(settings.routes) == ["auto"]
    assert [reason for reason in Reason if f"`{reason}`" not in page] == []
