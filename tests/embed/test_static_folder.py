"""A static embedder on disk: each kind of damage has its own message."""

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from routecast.embed.static_folder import read_static_folder
from routecast.errors import ArtifactError

SHIPPED = Path(__file__).parents[2] / "src" / "routecast" / "models" / "static"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped folder."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "static"))


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_rows_times_scales_are_the_vectors(folder: Path) -> None:
    tensors = load((folder / "vectors.safetensors").read_bytes())
    found = read_static_folder(folder)
    assert found.vectors.dtype == np.float32
    for id_ in (0, 1996, 30_521):
        by_hand = [np.float32(byte) * tensors["scales"][id_] for byte in tensors["rows"][id_]]
        np.testing.assert_array_equal(found.vectors[id_], by_hand)
    assert float(np.linalg.norm(found.nothing)) == pytest.approx(1, abs=1e-6)


def test_special_and_unused_tokens_are_rows_of_zeros() -> None:
    vectors = read_static_folder(SHIPPED).vectors
    # BERT's vocabulary: [PAD] 0, [unused0] to [unused98] 1 to 99, [UNK] 100, [CLS] 101, [SEP] 102,
    # [MASK] 103, [unused99] to [unused993] 104 to 998, then "!".
    assert not vectors[:999].any()
    assert vectors[999:].any(axis=1).all()


def test_the_digest_is_over_both_files() -> None:
    names = ["tokenizer.json", "vectors.safetensors"]
    digests = [sha256((SHIPPED / name).read_bytes()).hexdigest() for name in names]
    lines = "".join(f"{name} {digest}\n" for name, digest in zip(names, digests, strict=True))
    expected = sha256(lines.encode()).hexdigest()
    assert read_static_folder(SHIPPED).identity.digest == expected


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json", "vectors.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}( is missing)?; install routecast again"):
        read_static_folder(folder)


@pytest.mark.parametrize("name", ["tokenizer.json", "vectors.safetensors"])
def test_a_changed_byte_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{name} is truncated or changed: its SHA-256 is"):
        read_static_folder(folder)


def test_a_truncated_file_is_found(folder: Path) -> None:
    path = folder / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="truncated or changed"):
        read_static_folder(folder)


def test_a_newer_format_is_refused_even_when_its_manifest_looks_different(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format_version": 2}', encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"format version 2; this Routecast reads up to 1: upg"):
        read_static_folder(folder)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format_version": 1}', "\x00"])
def test_an_unreadable_manifest_is_refused(folder: Path, content: str) -> None:
    (folder / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"manifest\.json is not a readable manifest"):
        read_static_folder(folder)


def test_a_manifest_of_other_files_is_refused(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest["files"].update({"../secret": "0"}))
    with pytest.raises(ArtifactError, match=r"lists the files \['../secret', 'tokenizer\.json'"):
        read_static_folder(folder)


def test_vectors_of_another_shape_are_refused(folder: Path) -> None:
    change_manifest(folder, lambda manifest: manifest.update(dimension=128))
    with pytest.raises(ArtifactError, match=r"\(30522, 256\).*accepted is.*\(30522, 128\)"):
        read_static_folder(folder)


def test_content_that_is_no_safetensors_is_refused(folder: Path) -> None:
    content = b"not tensors"
    (folder / "vectors.safetensors").write_bytes(content)
    digest = sha256(content).hexdigest()
    change_manifest(folder, lambda m: m["files"].update({"vectors.safetensors": digest}))
    with pytest.raises(ArtifactError, match="is not a safetensors file"):
        read_static_folder(folder)


def test_vectors_that_are_not_finite_are_refused(folder: Path) -> None:
    path = folder / "vectors.safetensors"
    tensors = load(path.read_bytes())
    tensors["scales"][5000] = np.inf
    path.write_bytes(save(tensors))
    digest = sha256(path.read_bytes()).hexdigest()
    change_manifest(folder, lambda m: m["files"].update({"vectors.safetensors": digest}))
    with pytest.raises(ArtifactError, match="not finite"):
        read_static_folder(folder)
