"""Embedders as commands open them."""

from pathlib import Path

import numpy as np
import pytest

from routecast.cli import embedders
from routecast.embed import registry
from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError


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
        embedders.opened_embedder("openai:m", url=options.get("url"), key=options.get("key")),
    ):
        pass


def test_a_router_takes_the_embedder_that_the_user_names() -> None:
    with embedders.opened_router("default", embedder="static") as named:
        pass
    with embedders.opened_router("default") as plain:
        pass
    prompts = ["What is the capital of Portugal?", "Prove it."]
    assert named.embedder is not None
    np.testing.assert_array_equal(
        named.router.win_probabilities(prompts), plain.router.win_probabilities(prompts)
    )


def test_an_embedder_with_other_vectors_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word_embedder: Embedder
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(registry, "load_embedder", lambda _, **__: word_embedder)
    with (
        pytest.raises(ArtifactError, match=r"trained on embedder 'static'.*got 'words'"),
        embedders.opened_router("default", embedder="sentence:words"),
    ):
        pass


def test_an_address_without_an_embedder_is_refused() -> None:
    with (
        pytest.raises(ConfigError, match="mean nothing without --embedder"),
        embedders.opened_router("default", url="http://127.0.0.1:1/v1"),
    ):
        pass
