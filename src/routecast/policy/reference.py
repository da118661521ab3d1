"""The reference of routecast.toml, written from the settings' own descriptions."""

import json
import types
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from routecast.policy.model_settings import ModelSettings, PriceSettings
from routecast.policy.route_settings import RouteSettings
from routecast.policy.settings import ServerSettings
from routecast.upstream.secrets import ACCEPTED

_TABLES: tuple[tuple[str, type[BaseModel]], ...] = (
    ("[models.NAME]", ModelSettings),
    ("[models.NAME] price = { ... }", PriceSettings),
    ("[routes.NAME]", RouteSettings),
    ("[server]", ServerSettings),
)
_WORDS: dict[object, str] = {str: "text", int: "whole number", float: "number", bool: "true, false"}
_HEADING = f"""\
# routecast.toml

Every setting, from its own description in the code; `routecast config reference` prints this page.
`routecast config check` reads a file and says what is wrong in it, `routecast doctor` also asks the
upstreams.

A secret never stands in the file; where one is needed, the setting says where it is: {ACCEPTED}.
Relative paths begin at the settings file's own folder. Unknown keys are refused.
"""


def write_reference() -> str:
    """Return the reference of every setting as Markdown, ending with a newline."""
    return "\n".join([_HEADING, *(_table(title, table) for title, table in _TABLES)])


def _table(title: str, table: type[BaseModel]) -> str:
    lines = [f"## `{title}`", "", (table.__doc__ or "").strip(), ""]
    lines += ["| key | accepted | default | meaning |", "|---|---|---|---|"]
    for name, field in table.model_fields.items():
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_accepted(field)} | {_default(field)} | {meaning} |")
    return "\n".join([*lines, ""])


def _accepted(field: FieldInfo) -> str:
    """Say what a value may be: its type, then its bounds."""
    bounds = []
    marks = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    for bound in field.metadata:
        for mark, word in marks.items():
            limit = getattr(bound, mark, None)
            if limit is not None:
                bounds.append(f"{word} {limit:g}")
    return " ".join([_type_words(field.annotation), *bounds])


def _type_words(annotation: Any) -> str:  # noqa: ANN401 (any annotation there is)
    """Name a type as someone who writes TOML would."""
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return " or ".join(_type_words(part) for part in get_args(annotation) if part is not _NONE)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in get_args(annotation))
    if origin is tuple:
        return f"list of {_type_words(get_args(annotation)[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type_words(get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{json.dumps(choice.value)}`" for choice in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return _WORDS[annotation]


_NONE = type(None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = field.default
    if default is None:
        return "not set"
    if isinstance(default, tuple):
        return f"`{json.dumps([str(part) for part in default])}`"
    return f"`{json.dumps(default)}`"
