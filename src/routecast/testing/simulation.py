"""What a simulated model says: its own name, and where it is held to more, just that.

The rules are few, so that a test can tell an answer by heart: it calls every tool once where a call
is demanded, fills a JSON schema with the plainest value of each type, and counts tokens by
characters.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CHARACTERS_PER_TOKEN = 4
"""The stated rule of the simulated usage: one token per four characters, rounded up."""

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """One request to a simulated model, and what it is to say.

    Attributes:
        name: Of the model.
        text: What it says.
        is_scripted: Whether it says that even where it is held to a JSON schema.
        number: Of the request, for identifiers.
        request: The parsed body.
    """

    name: str
    text: str
    is_scripted: bool
    number: int
    request: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call of one tool, its arguments as JSON."""

    identity: str
    name: str
    arguments: Json

    @property
    def arguments_json(self) -> str:
        """The arguments as OpenAI's APIs hold them."""
        return json.dumps(self.arguments)


def n_tokens(n_characters: int) -> int:
    """Count tokens by the stated rule."""
    return -(-n_characters // CHARACTERS_PER_TOKEN)


def n_characters(content: Any) -> int:  # noqa: ANN401 (whatever the client sent)
    """Count the characters of a content: a string, or parts of which those with text count."""
    if isinstance(content, list):
        return sum(len(part.get("text") or "") for part in content if isinstance(part, dict))
    return len(content) if isinstance(content, str) else 0


def words_of(text: str) -> list[str]:
    """Cut a text into the pieces that are streamed, one word each."""
    first, *rest = text.split(" ")
    return [first, *(f" {word}" for word in rest)]


def simulate_text(simulation: Simulation, schema: Mapping[str, Any] | None) -> str:
    """Return the text, or the plainest document that fits a schema."""
    if schema is None or simulation.is_scripted:
        return simulation.text
    return json.dumps(simulate_value(schema))


def call_tools(simulation: Simulation, tools: list[tuple[str, Json]]) -> list[ToolCall]:
    """Call each tool once, with the plainest arguments that its schema takes."""
    return [
        ToolCall(
            identity=f"call_simulated_{simulation.number}_{i}",
            name=name,
            arguments=simulate_value(schema),
        )
        for i, (name, schema) in enumerate(tools)
    ]


def simulate_value(schema: Mapping[str, Any], root: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the plainest value that fits a JSON schema; of alternatives, the first."""
    root = schema if root is None else root
    if "$ref" in schema:
        return simulate_value(_resolve(schema["$ref"], root), root)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return simulate_value(alternatives[0], root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        fields = schema.get("properties", {})
        return {name: simulate_value(field, root) for name, field in fields.items()}
    if kind == "array":
        return [simulate_value(schema.get("items", {"type": "string"}), root)]
    return {"string": "simulated", "integer": 1, "number": 0.5, "boolean": True}.get(kind)


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow ``#/$defs/NAME``."""
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def events_of(documents: Iterator[tuple[str | None, Json]]) -> Iterator[bytes]:
    """Write server-sent events, each with its name where it has one."""
    for name, document in documents:
        head = b"" if name is None else b"event: " + name.encode() + b"\n"
        yield head + b"data: " + json.dumps(document).encode() + b"\n\n"
