"""Embedders by name."""

import pytest

from routecast.embed.registry import load_embedder
from routecast.errors import ConfigError


def test_static_resolves_to_the_shipped_embedder() -> None:
    embedder = load_embedder("static")
    assert embedder.identity.name == "static"
    assert embedder.embed(["hello"]).shape == (1, embedder.identity.dimension)


@pytest.mark.parametrize("name", ["statick", "sentence", "sentence:", "sentence: ", ""])
def test_an_unknown_name_is_refused_with_the_list(name: str) -> None:
    forms = r"\['static', 'sentence:ID_OR_FOLDER'\]"
    with pytest.raises(ConfigError, match=f"unknown embedder {name!r}; choose one of {forms}"):
        load_embedder(name)
