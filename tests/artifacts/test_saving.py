"""Artifacts that hold a Hugging Face folder."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from routecast.artifacts import (
    FORMAT_VERSION,
    Artifact,
    CalibrationRecord,
    Manifest,
    PlattRecord,
    TrainingRecord,
    load_artifact,
    save_artifact,
)
from routecast.artifacts.layout import check_listed_name
from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError
from routecast.routers.model_folder import ModelFolder

Rewrite = Callable[..., None]


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    (folder / "parts").mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 10_000)  # 2.56 MB
    (folder / "parts" / "vocab.txt").write_text("one\ntwo\n")
    return folder


@pytest.fixture
def artifact(model_folder: Path, word_embedder: Embedder) -> Artifact:
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        router="bert",
        package_version="0.1.0",
        embedder=word_embedder.identity,
        strong=("strong-1",),
        weak=("weak-1",),
        seed=5,
        settings={"length": 32},
        training=TrainingRecord(digest="0" * 64, n_prompts=2, n_comparisons=2, sources=()),
        calibration=CalibrationRecord(
            sample="two prompts",
            n_prompts=2,
            map=PlattRecord(slope=1.0, intercept=0.0),
            win_probability_quantiles=tuple(np.linspace(0.2, 0.7, 1001).tolist()),
        ),
        metrics=(),
        files={},
    )
    hashes = np.array([3], dtype=np.uint64)
    references = word_embedder.embed(["one"])
    return Artifact(manifest, {}, references, hashes, ModelFolder(model_folder))


@pytest.fixture
def folder(artifact: Artifact, tmp_path: Path) -> Path:
    save_artifact(artifact, tmp_path / "router")
    return tmp_path / "router"


def files_of(folder: Path) -> dict[str, object]:
    files: dict[str, object] = json.loads((folder / "manifest.json").read_text())["files"]
    return files


def test_the_model_is_copied_file_by_file_and_its_digests_listed(
    folder: Path, model_folder: Path
) -> None:
    files = load_artifact(folder).manifest.files
    assert sorted(files) == [
        "model/config.json", "model/model.safetensors", "model/parts/vocab.txt",
        "weights.safetensors",
    ]  # fmt: skip
    weights = (model_folder / "model.safetensors").read_bytes()
    assert files["model/model.safetensors"].sha256 == sha256(weights).hexdigest()
    assert files["model/model.safetensors"].n_bytes == 2_560_000
    loaded = load_artifact(folder).model_folder
    assert loaded is not None
    assert (loaded.path / "model.safetensors").read_bytes() == weights


def test_an_artifact_without_a_model_has_no_folder(artifact: Artifact, tmp_path: Path) -> None:
    plain = Artifact(
        artifact.manifest, {}, artifact.reference_embeddings, artifact.training_prompt_hashes
    )
    save_artifact(plain, tmp_path / "plain")
    assert load_artifact(tmp_path / "plain").model_folder is None


def test_a_loaded_artifact_can_be_saved_over_itself_with_its_model(folder: Path) -> None:
    before = load_artifact(folder)
    save_artifact(before, folder)
    assert load_artifact(folder).manifest.files == before.manifest.files


@pytest.mark.parametrize("name", ["model.safetensors", "parts/vocab.txt"])
def test_a_changed_file_of_the_model_is_found(folder: Path, name: str) -> None:
    path = folder / "model" / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="its SHA-256 is not the manifest's"):
        load_artifact(folder)


def test_a_file_that_the_manifest_does_not_list_is_refused(folder: Path) -> None:
    (folder / "model" / "extra.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"extra\.json', which the manifest does not"):
        load_artifact(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "odd.pkl", "modeling.py"])
def test_a_file_that_could_run_code_is_neither_saved_nor_loaded(
    artifact: Artifact, folder: Path, model_folder: Path, tmp_path: Path, name: str
) -> None:
    for place in (folder / "model", model_folder):
        (place / name).write_bytes(b"")
    with pytest.raises(ArtifactError, match=f"holds '{name}'; accepted are files ending in"):
        load_artifact(folder)
    with pytest.raises(ArtifactError, match="save the weights as safetensors"):
        save_artifact(artifact, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_model_that_names_another_model_is_refused(folder: Path) -> None:
    (folder / "model" / "adapter_config.json").write_text('{"base_model_name_or_path": "x/y"}')
    with pytest.raises(ArtifactError, match="names another model to load"):
        load_artifact(folder)


def test_an_empty_model_folder_is_refused(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = Artifact(
        artifact.manifest, {}, artifact.reference_embeddings, artifact.training_prompt_hashes,
        ModelFolder(tmp_path / "empty"),
    )  # fmt: skip
    with pytest.raises(ArtifactError, match="is empty; train again"):
        save_artifact(empty, tmp_path / "again")


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "model/../../x",
        "other/x",
        "model\\x",
        "model//x",
        "./x",
        ".",
        "",
        "a/",
    ],
)
def test_a_listed_path_stays_inside_the_folder(
    edit_manifest: Rewrite, folder: Path, name: str
) -> None:
    with pytest.raises(ArtifactError, match="no plain file name and no path below 'model/'"):
        check_listed_name(name)
    edit_manifest(folder, files={**files_of(folder), name: {"n_bytes": 0, "sha256": ""}})
    with pytest.raises(ArtifactError, match="no plain file name"):
        load_artifact(folder)


def test_a_router_whose_model_is_missing_says_so(
    edit_manifest: Rewrite, folder: Path, word_embedder: Embedder
) -> None:
    files = files_of(folder)
    edit_manifest(folder, files={"weights.safetensors": files["weights.safetensors"]})
    for file in sorted((folder / "model").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    with pytest.raises(ArtifactError, match="lacks 'model/'"):
        load_artifact(folder).router(word_embedder)
