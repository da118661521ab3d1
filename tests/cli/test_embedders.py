"""Embedders as commands open them."""

from pathlib import Path

import numpy as np
import pytest

from routecast.cli import embedders
from routecast.embed import registry
from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError


def test_static_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with embedders.opened_embedder("static") as embedder:
        assert embedder.identity.name == "static"
        embedder.embed(["one"])


def test_others_are_cached_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word_embedder: Embedder
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(registry, "load_embedder", lambda _, **__: word_embedder)
    with embedders.opened_embedder("words") as embedder:
        np.testing.assert_array_equal(embedder.embed(["one"]), word_embedder.embed(["one"]))
    assert list(tmp_path.glob("routecast/embeddings/*/*.safetensors")) != []


def test_an_unknown_name_is_refused() -> None:
    with (
        pytest.raises(ConfigError, match="unknown embedder 'nothing'"),
        embedders.opened_embedder("nothing"),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "env:KEY"}, "--embedder-key means nothing without --embedder-url"),
        ({"url": "localhost"}, "--embedder-url 'localhost'; accepted is an http"),
        ({"url": "http://127.0.0.1:1/v1", "key": "env:NO_SUCH_KEY"}, "'NO_SUCH_KEY' is not set"),
        ({"url": "http://127.0.0.1:1/v1", "key": "sk-1"}, "a secret must not be written out"),
    ],
)
def test_an_address_that_cannot_be_is_refused(options: dict[str, str], message: str) -> None:
    with (
        pytest.raises(ConfigError, match=message),
        embedders.opened_embedder("openai:m", **options),
    ):
        pass
