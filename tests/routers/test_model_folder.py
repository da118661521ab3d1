import gc
import json
from pathlib import Path

import pytest

from routecast.errors import ArtifactError
from routecast.routers.model_folder import (
    list_model_files,
    read_json_object,
    refuse_remote_code,
    temporary_model_folder,
)


def test_files_are_listed_by_relative_path_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("config.json", "b/x.txt", "a.safetensors", "m.onnx"):
        (tmp_path / name).write_text("{}")
    assert list_model_files(tmp_path) == ("a.safetensors", "b/x.txt", "config.json", "m.onnx")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no model folder"):
        list_model_files(tmp_path / "none")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_configuration_that_asks_for_code_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"auto_map": {"AutoModel": "modeling.Mine"}}')
    with pytest.raises(ArtifactError, match=f"auto_map in {name}.*trust_remote_code is off"):
        refuse_remote_code(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        {"attn_implementation": "owner/kernel"},
        {"_attn_implementation": "owner/kernel@main"},
        {"text_config": {"attn_implementation": {"": "owner/kernel"}}},
    ],
)
def test_a_configuration_that_names_a_kernel_of_the_hub_is_refused(
    tmp_path: Path, config: dict[str, object]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=r"names the kernel 'owner/kernel.*code of models is n"):
        refuse_remote_code(tmp_path)
    (tmp_path / "config.json").write_text('{"attn_implementation": "sdpa", "n": null}')
    refuse_remote_code(tmp_path)


def test_python_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "modeling_mine.py").write_text("")
    with pytest.raises(ArtifactError, match=r"holds the code 'modeling_mine\.py'"):
        refuse_remote_code(tmp_path)


@pytest.mark.parametrize("content", ["[1]", "{", "3"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ArtifactError, match="JSON"):
        read_json_object(tmp_path / "config.json")


def test_a_temporary_folder_lives_as_long_as_it_is_held() -> None:
    folder = temporary_model_folder()
    path = folder.path
    (path / "config.json").write_text("{}")
    assert path.is_dir()
    del folder
    gc.collect()
    assert not path.exists()
