"""Folders that were damaged, or made by somebody who means harm: each is refused in words."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from routecast.artifacts import Artifact, load_artifact, load_router, save_artifact
from routecast.artifacts.loading import MAX_MANIFEST_BYTES
from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.types import AnyArray

Rewrite = Callable[..., None]


@pytest.fixture
def edit_tensors(edit_manifest: Rewrite) -> Rewrite:
    """Change arrays of the weights, with digests that fit."""

    def edit(folder: Path, **changes: AnyArray) -> None:
        path = folder / "weights.safetensors"
        content = save({**load(path.read_bytes()), **changes})
        path.write_bytes(content)
        record = {"n_bytes": len(content), "sha256": sha256(content).hexdigest()}
        edit_manifest(folder, files={"weights.safetensors": record})

    return edit


def manifest_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return document


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_every_flipped_bit_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    generator = np.random.default_rng(7)
    first = range(8 * 24)  # a manifest's format version
    for place in [*first, *generator.integers(8 * len(whole), size=300).tolist()]:
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(ArtifactError):
            load_artifact(folder)
    path.write_bytes(whole)
    load_artifact(folder)


def test_every_cut_manifest_is_refused(folder: Path) -> None:
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for n_bytes in range(0, len(whole), 397):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ArtifactError):
            load_artifact(folder)


def test_a_folder_of_the_first_format_says_to_train_again(
    edit_manifest: Rewrite, folder: Path
) -> None:
    edit_manifest(folder, format_version=1)
    with pytest.raises(ArtifactError, match=r"format version 1, which had no .*train the router a"):
        load_artifact(folder)
    edit_manifest(folder, format_version=1, router="causal-endpoint")
    with pytest.raises(ArtifactError, match="--endpoint URL on the command line, or router_endpoi"):
        load_artifact(folder)


RISING = np.linspace(0.2, 0.7, 1001).tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"win_probability_quantiles": RISING[::-1]}, "must ascend within"),
        ({"win_probability_quantiles": [-0.1, *RISING[1:]]}, "must ascend within"),
        ({"win_probability_quantiles": [*RISING[:-1], 1.5]}, "must ascend within"),
        ({"win_probability_quantiles": RISING[:-1]}, "1000 quantiles given; the format has 1001"),
        ({"win_probability_quantiles": []}, "0 quantiles given"),
        ({"win_probability_quantiles": [None] * 1001}, "not a readable manifest"),
        ({"map": {"kind": "platt", "slope": 0.0, "intercept": 0.0}}, "slope above 0"),
        ({"map": {"kind": "platt", "slope": -1.0, "intercept": 0.0}}, "slope above 0"),
        ({"map": {"kind": "isotonic", "scores": [0.0], "probabilities": []}}, "must be vectors"),
        ({"map": {"kind": "isotonic", "scores": [0, 1], "probabilities": [0.1, 7]}}, r"in \[0, 1"),
        ({"n_prompts": -1}, "a count of the manifest is too low: -1"),
        ({"n_prompts": 0}, "a count of the manifest is too low: 0"),
        ({"map": {"kind": "platt", "slope": 1e308, "intercept": 0.0}}, "accepted is up to 1,000,0"),
        ({"map": {"kind": "platt", "slope": 1.0, "intercept": -1e7}}, "accepted is up to 1,000,0"),
        ({"abstained_share": 1.0}, "abstained_share 1.0 of the calibration is refused"),
        ({"abstained_share": -0.1}, "abstained_share -0.1 of the calibration is refused"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_refused(
    edit_manifest: Rewrite, folder: Path, changes: dict[str, Any], message: str
) -> None:
    edit_manifest(folder, calibration=manifest_of(folder)["calibration"] | changes)
    with pytest.raises(ArtifactError, match=message):
        load_artifact(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"qualities": [0.5] * 7},
        {"costs_usd_per_1k": [0.5] * 7},
        {"costs_usd_per_1k": [-0.5] * 1001},
    ],
)
def test_outcomes_that_do_not_lie_along_the_quantiles_are_refused(
    edit_manifest: Rewrite, folder: Path, changes: dict[str, Any]
) -> None:
    outcomes = {
        "strong": "s", "weak": "w", "strong_quality": 1.0, "weak_quality": 0.0,
        "qualities": [0.5] * 1001, **changes,
    }  # fmt: skip
    edit_manifest(folder, calibration=manifest_of(folder)["calibration"] | {"outcomes": outcomes})
    with pytest.raises(ArtifactError, match=r"the format has 1001|a cost is below 0"):
        load_artifact(folder)


ABSTAINED = {"strong_quality": 1.0, "weak_quality": 0.5}
COSTS = {"strong_cost_usd_per_1k": 2.0, "weak_cost_usd_per_1k": 1.0}


@pytest.mark.parametrize(
    ("share", "costs", "abstained", "message"),
    [
        (0.5, None, None, "does not go with the outcomes of prompts without a score"),
        (0.0, None, ABSTAINED, "does not go with the outcomes of prompts without a score"),
        (0.5, [1.0] * 1001, ABSTAINED, "the costs of prompts without a score"),
        (0.5, None, ABSTAINED | COSTS, "the costs of prompts without a score"),
        (0.5, [1.0] * 1001, ABSTAINED | COSTS | {"weak_cost_usd_per_1k": -1.0}, "the costs of"),
    ],
)
def test_outcomes_of_prompts_without_a_score_must_go_with_their_share(
    edit_manifest: Rewrite,
    folder: Path,
    share: float,
    costs: list[float] | None,
    abstained: dict[str, float] | None,
    message: str,
) -> None:
    outcomes = {
        "strong": "s", "weak": "w", "strong_quality": 1.0, "weak_quality": 0.0,
        "qualities": [0.5] * 1001, "costs_usd_per_1k": costs, "abstained": abstained,
    }  # fmt: skip
    record = manifest_of(folder)["calibration"]
    edit_manifest(folder, calibration=record | {"outcomes": outcomes, "abstained_share": share})
    with pytest.raises(ArtifactError, match=message):
        load_artifact(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"strong": ["x" * 1001]},
        {"weak": [""]},
        {"router": "m" * 5000},
        {"files": {"x" * 256: {"n_bytes": 0, "sha256": ""}}},
        {"files": {"model/" + "x/" * 600 + "y": {"n_bytes": 0, "sha256": ""}}},
    ],
)
def test_over_long_names_are_refused(
    edit_manifest: Rewrite, folder: Path, changes: dict[str, Any]
) -> None:
    files = manifest_of(folder)["files"]
    edit_manifest(folder, **{**changes, "files": files | changes.get("files", {})})
    with pytest.raises(ArtifactError, match=r"accepted are|was changed"):
        load_artifact(folder)


def test_a_routers_name_that_no_file_can_have_is_unknown() -> None:
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(ConfigError, match="unknown router"):
            load_router(name)


def test_a_deeply_nested_manifest_is_refused(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"settings": ' + "[" * 100_000)
    with pytest.raises(ArtifactError, match="not a readable manifest"):
        load_artifact(folder)


def test_a_huge_manifest_is_not_read(folder: Path) -> None:
    with (folder / "manifest.json").open("wb") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)
    with pytest.raises(ArtifactError, match=r"a manifest has .* at most"):
        load_artifact(folder)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "model/config.json", "sub/folder/x"])
def test_a_file_that_is_not_listed_is_refused_wherever_it_lies(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("{}")
    with pytest.raises(ArtifactError, match=f"holds '{name}', which the manifest does not list"):
        load_artifact(folder)


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_what_a_file_manager_leaves_is_passed_over(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"icons")
    load_artifact(folder)


@pytest.mark.parametrize("name", ["manifest.json", "weights.safetensors"])
def test_a_symbolic_link_is_refused_even_to_the_right_bytes(
    folder: Path, tmp_path: Path, name: str
) -> None:
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="is a symbolic link"):
        load_artifact(folder)


def test_a_linked_model_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="is a symbolic link"):
        load_artifact(folder)


def test_a_router_that_is_itself_linked_to_is_the_users_own_choice(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "current").symlink_to(folder)
    assert load_artifact(tmp_path / "current").manifest == load_artifact(folder).manifest


def test_a_pipe_in_place_of_the_weights_is_refused(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    os.mkfifo(folder / "weights.safetensors")
    with pytest.raises(ArtifactError, match="is missing"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("reference_embeddings", np.zeros((3, 5), dtype=np.float16)),
        ("reference_embeddings", np.zeros((513, 8), dtype=np.float16)),
        ("reference_embeddings", np.zeros((3, 8), dtype=np.int8)),
        ("reference_embeddings", np.full((3, 8), np.nan, dtype=np.float16)),
        ("reference_embeddings", np.array(1.0)),
        ("training_prompt_hashes", np.array([1.0])),
        ("training_prompt_hashes", np.array([[1]], dtype=np.uint64)),
        ("training_prompt_hashes", np.array([2, 1], dtype=np.uint64)),
        ("output", np.array([np.inf, 1.0, 1.0])),
    ],
)
def test_an_array_of_another_type_or_shape_is_refused(
    edit_tensors: Rewrite, folder: Path, name: str, tensor: AnyArray
) -> None:
    edit_tensors(folder, **{name: tensor})
    with pytest.raises(ArtifactError, match=rf"{name}|513 reference embeddings"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("output", np.ones(4)),
        ("projection", np.ones((9, 3))),
        ("projection", np.ones(3)),
        ("projection", np.array(1.0)),
        ("model_names", np.frombuffer(b"\xff\xfe", dtype=np.uint8)),
    ],
)
def test_weights_that_do_not_fit_together_are_found_before_any_traffic(
    edit_tensors: Rewrite, folder: Path, word_embedder: Embedder, name: str, tensor: AnyArray
) -> None:
    edit_tensors(folder, **{name: tensor})
    with np.errstate(all="ignore"), pytest.raises((ArtifactError, ConfigError)):
        load_router(str(folder), embedder=word_embedder)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "X"])
def test_numbers_that_numpy_has_not_are_refused(
    edit_manifest: Rewrite, folder: Path, dtype: str
) -> None:
    header = json.dumps({"a": {"dtype": dtype, "shape": [1], "data_offsets": [0, 2]}}).encode()
    content = len(header).to_bytes(8, "little") + header + b"\0\0"
    (folder / "weights.safetensors").write_bytes(content)
    record = {"n_bytes": len(content), "sha256": sha256(content).hexdigest()}
    edit_manifest(folder, files={"weights.safetensors": record})
    with pytest.raises(ArtifactError, match="not a safetensors file of numbers"):
        load_artifact(folder)


def test_what_could_not_be_loaded_is_not_saved(artifact: Artifact, tmp_path: Path) -> None:
    broken = replace(artifact, tensors={"odd": np.array(["text"])})
    with pytest.raises(ArtifactError, match="'odd' has the type <U4, not of numbers"):
        save_artifact(broken, tmp_path / "router")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["\x1b[31mgpt", "gpt\nother"])
def test_a_name_with_control_characters_is_refused(
    edit_manifest: Rewrite, folder: Path, name: str
) -> None:
    edit_manifest(folder, strong=[name])
    with pytest.raises(ArtifactError, match="control character"):
        load_artifact(folder)


def test_a_key_that_the_format_lacks_is_refused(edit_manifest: Rewrite, folder: Path) -> None:
    edit_manifest(folder, api_key="k")
    with pytest.raises(ArtifactError, match="unknown field `api_key`"):
        load_artifact(folder)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"strong_quality": 1e308}, "strong_quality"), ({"strong_quality": -1.0}, "strong_quality"),
     ({"weak_quality": 5.0}, "weak_quality")],
)  # fmt: skip
def test_mean_qualities_must_be_those_of_routing_all_to_one_model(
    edit_manifest: Rewrite, folder: Path, changes: dict[str, float], named: str
) -> None:
    falling = np.linspace(0.8, 0.5, 1001).tolist()
    outcomes = {"strong": "s", "weak": "w", "strong_quality": 0.8, "weak_quality": 0.5,
                "qualities": falling}  # fmt: skip
    calibration = manifest_of(folder)["calibration"]
    edit_manifest(folder, calibration=calibration | {"outcomes": outcomes})
    load_artifact(folder)
    edit_manifest(folder, calibration=calibration | {"outcomes": outcomes | changes})
    with pytest.raises(ArtifactError, match=f"{named} .* is not what its qualities say"):
        load_artifact(folder)


@pytest.mark.parametrize(
    "settings",
    [{"api_key": "sk-1"}, {"asks": {"base_url": "x"}}, {"model": "https://example.org"},
     {"names": ["env:HOME"]}, {"command": "ls"}],
)  # fmt: skip
def test_settings_that_name_an_address_or_a_secret_are_refused(
    edit_manifest: Rewrite, folder: Path, settings: dict[str, Any]
) -> None:
    edit_manifest(folder, settings=settings)
    with pytest.raises(ArtifactError, match="names an address or a secret"):
        load_artifact(folder)
