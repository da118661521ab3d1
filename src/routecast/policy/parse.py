"""From the text of routecast.toml to settings, or one message that names every fault."""

import difflib
import json
import re
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from routecast.errors import ConfigError
from routecast.policy.cross_checks import cross_check
from routecast.policy.model_settings import ModelSettings, PriceSettings
from routecast.policy.route_settings import RouteSettings
from routecast.policy.settings import ServerSettings, Settings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def parse_settings(text: str, *, source: str) -> Settings:
    """Read and check routecast.toml.

    Args:
        text: The file's text.
        source: What messages call it, usually its path.

    Raises:
        ConfigError: If it is not TOML (with the line), or if a key or value is not accepted: one
            line for each, with the key's dotted path, the value, and what is accepted. Values
            that may be secrets are never shown.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not valid TOML: {error}") from None
    try:
        settings = Settings.model_validate(document)
    except ValidationError as error:
        findings = [_describe(details) for details in error.errors(include_url=False)]
    else:
        findings = [f"{_dotted(key)} {fault}" for key, fault in cross_check(settings)]
        if not findings:
            return settings
    raise ConfigError("\n".join(f"{source}: {finding}" for finding in findings))


def _describe(details: "ErrorDetails") -> str:
    """Turn one of pydantic's findings into our wording."""
    location = tuple(str(part) for part in details["loc"] if part != "[key]")
    key = _dotted(location)
    if details["type"] == "extra_forbidden":
        return f"unknown key {key}{_nearest(location)}"
    if details["type"] == "missing":
        return f"{key} is missing; {_field_description(location)}"
    expectation = _expectation(details["msg"])
    value = details["input"]
    if details.get("ctx", {}).get("le") == 1 and isinstance(value, int | float) and value <= 100:
        expectation += f"; did you mean {value / 100:g}?"
    if len(location) > 1 and not _may_hold_a_secret(location, details["input"]):
        return f"{key} = {_short(details['input'])} is refused: {expectation}"
    return f"{key or 'the file'} is refused: {expectation}"


def _expectation(message: str) -> str:
    """Say it in TOML's words instead of Python's."""
    message = message.removeprefix("Value error, ").replace("Input should", "it should")
    message = message.replace("a valid tuple", "a list").replace("Tuple should", "it should")
    return re.sub(r"a valid dictionary( or instance of \w+)?", "a table", message)


def _dotted(location: tuple[str, ...]) -> str:
    """Write a key as TOML would."""
    return ".".join(
        part if _BARE_KEY.fullmatch(part) else json.dumps(part, ensure_ascii=False)
        for part in location
    )


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def _may_hold_a_secret(location: tuple[str, ...], value: Any) -> bool:  # noqa: ANN401
    """Hide tables, keys, misplaced values, and URLs with more than an address in them."""
    if isinstance(value, dict) or location[-1] == "api_key":
        return True
    if location[0] == "server":
        return isinstance(value, str)
    if location[-1] == "base_url":
        return not isinstance(value, str) or any(mark in value for mark in "@?#")
    return location[0] == "models" and len(location) < 3


def _table_of(location: tuple[str, ...]) -> type[BaseModel] | None:
    """The table that a key stands in."""
    match location[:-1]:
        case ():
            return Settings
        case ("server",):
            return ServerSettings
        case ("models", _):
            return ModelSettings
        case ("models", _, "price"):
            return PriceSettings
        case ("routes", _):
            return RouteSettings
    return None


def _nearest(location: tuple[str, ...]) -> str:
    table = _table_of(location)
    if table is None:
        return ""
    known = list(table.model_fields)
    close = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    return f"{guess}; accepted here: {known!r}"


def _field_description(location: tuple[str, ...]) -> str:
    table = _table_of(location)
    field = table.model_fields.get(location[-1]) if table else None
    if field is None or field.description is None:
        return "add it"
    first, *others = field.description.split()
    if not any(letter.isupper() for letter in first[1:]):  # an acronym stays one
        first = first.lower()
    return f"add it: {' '.join([first, *others])}"
