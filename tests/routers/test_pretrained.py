import sys
from pathlib import Path

import pytest

from routecast.errors import ArtifactError, ConfigError, MissingExtraError
from routecast.routers.pretrained import digest_of_folder, find_pretrained


def find(where: str) -> Path:
    return find_pretrained(where, feature="the router 'bert'").folder


def test_a_folder_is_found_without_the_network(tiny_encoder: Path) -> None:
    assert find(str(tiny_encoder)) == tiny_encoder


@pytest.mark.parametrize("where", ["./none", "~/none", "a/b/c", "", "back\\slash"])
def test_a_misspelt_path_is_not_asked_from_the_hub(where: str) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        find(where)


def test_a_folder_without_configuration_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no config\.json"):
        find(str(tmp_path))


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ArtifactError, match="no weights in safetensors"):
        find(str(tmp_path))


def test_a_model_with_code_of_its_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"auto_map": {}}')
    with pytest.raises(ArtifactError, match="trust_remote_code is off"):
        find(str(tmp_path))


def test_a_hub_id_needs_the_hubs_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'routecast\[torch\]'"):
        find("somebody/some-model")


def test_the_digest_is_of_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = digest_of_folder(tmp_path)
    (tmp_path / "README.md").write_text("words for people")
    assert digest_of_folder(tmp_path) == before
    (tmp_path / "config.json").write_text("{ }")
    assert digest_of_folder(tmp_path) != before
