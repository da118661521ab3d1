"""Settings of a family as people write them: ``weight_decay=0.001``, or several to choose from."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

from routecast.errors import ConfigError
from routecast.train.registry import Family


def parse_options(family: Family, texts: Sequence[str]) -> dict[str, Any]:
    """Turn ``NAME=VALUE`` and ``NAME=VALUE,VALUE`` into settings of a family.

    Values take the type of the setting's default, or have a name in the family. Several values
    become a tuple: the best on validation data is kept.

    Raises:
        ConfigError: If a text is no assignment, the setting is unknown or given twice, or a value
            is not of its type.
    """
    given: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not value.strip():
            raise ConfigError(f"--set {text!r} is no setting; accepted is NAME=VALUE")
        if name in given:
            raise ConfigError(f"setting {name!r} is given twice; list its values as {name}=A,B")
        values = tuple(_typed(family, name, part.strip()) for part in value.split(","))
        given[name] = values if len(values) > 1 else values[0]
    family.candidates(given)
    return given


def _typed(family: Family, name: str, text: str) -> Any:  # noqa: ANN401 (a setting's own type)
    defaults: Mapping[str, Any] = {f.name: f.default for f in fields(family.settings)}
    default = defaults.get(name, MISSING)
    if default is MISSING or name in family.fixed:
        return text  # unknown settings are refused by name
    names = family.named.get(name, {})
    if text in names:
        return names[text]
    kind = type(default)
    if kind is bool:
        if text not in ("true", "false"):
            raise ConfigError(f"--set {name}={text!r}: accepted are 'true' and 'false'")
        return text == "true"
    if kind not in (int, float):
        return text
    try:
        return kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        also = f", or one of {list(names)!r}" if names else ""
        raise ConfigError(f"--set {name}={text!r}: accepted is {wanted}{also}") from None
