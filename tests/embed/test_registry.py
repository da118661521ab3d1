"""Embedders by name."""

import pytest

from routecast.embed.registry import load_embedder
from routecast.errors import ConfigError
from routecast.upstream.endpoint import Endpoint


def test_static_resolves_to_the_shipped_embedder() -> None:
    embedder = load_embedder("static")
    assert embedder.identity.name == "static"
    assert embedder.embed(["hello"]).shape == (1, embedder.identity.dimension)


@pytest.mark.parametrize("name", ["statick", "sentence", "sentence:", "sentence: ", "openai:", ""])
def test_an_unknown_name_is_refused_with_the_list(name: str) -> None:
    forms = r"\['static', 'sentence:ID_OR_FOLDER', 'openai:MODEL'\]"
    with pytest.raises(ConfigError, match=f"unknown embedder {name!r}; choose one of {forms}"):
        load_embedder(name)


def test_an_endpoint_is_for_openai_models_and_these_need_one() -> None:
    with pytest.raises(ConfigError, match=r"'openai:m' needs an endpoint: .*--embedder-url"):
        load_embedder("openai:m")
    endpoint = Endpoint(name="m", model="m", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="'static' has no endpoint"):
        load_embedder("static", endpoint=endpoint)
