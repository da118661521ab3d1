import errno
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors import SafetensorError

from routecast.artifacts import (
    Artifact,
    OutcomesRecord,
    load_artifact,
    load_router,
    record_map,
    save_artifact,
)
from routecast.embed.protocol import Embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.calibrated import CalibrationMap
from routecast.stats.isotonic import IsotonicScaling
from routecast.stats.platt import PlattScaling

PROMPTS = ["one", "two words", "a third prompt"]
Rewrite = Callable[..., None]


def test_a_saved_router_scores_the_same_when_loaded(
    artifact: Artifact, folder: Path, word_embedder: Embedder
) -> None:
    before = artifact.router(word_embedder).win_probabilities(PROMPTS)
    after = load_router(str(folder), embedder=word_embedder).router.win_probabilities(PROMPTS)
    assert after.tolist() == before.tolist()


def test_everything_beside_the_weights_survives(artifact: Artifact, folder: Path) -> None:
    loaded = load_artifact(folder)
    assert msgspec.structs.replace(loaded.manifest, files={}, digest="") == artifact.manifest
    assert loaded.training_prompt_hashes.tolist() == artifact.training_prompt_hashes.tolist()
    assert loaded.reference_embeddings == pytest.approx(artifact.reference_embeddings, abs=1e-3)


def test_a_loaded_router_brings_its_quantiles_and_their_sample(
    folder: Path, word_embedder: Embedder
) -> None:
    loaded = load_router(str(folder), embedder=word_embedder)
    assert loaded.win_probability_quantiles is not None
    assert loaded.win_probability_quantiles[[0, 500, 1000]] == pytest.approx([0.2, 0.45, 0.7])
    assert loaded.calibration_sample == "two prompts"


def test_no_prompt_is_stored(folder: Path) -> None:
    stored = b"".join(path.read_bytes() for path in folder.iterdir())
    assert not [prompt for prompt in PROMPTS if len(prompt) > 3 and prompt.encode() in stored]


def test_saving_again_replaces_the_old_router_whole(artifact: Artifact, folder: Path) -> None:
    (folder / "stale").write_text("from before")
    save_artifact(artifact, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "weights.safetensors",
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["router"]


def test_saving_over_another_folder_is_refused_and_loses_nothing(
    artifact: Artifact, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="is no trained router"):
        save_artifact(artifact, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_failed_save_leaves_nothing_behind(
    artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> bytes:
        raise SafetensorError("no more")

    monkeypatch.setattr("routecast.artifacts.saving.format_tensors", fail)
    with pytest.raises(SafetensorError):
        save_artifact(artifact, tmp_path / "router")
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_file_is_found(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match="truncated or changed"):
        load_artifact(folder)


def test_a_changed_byte_is_found(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="its SHA-256 is not the manifest's"):
        load_artifact(folder)


def test_a_missing_weights_file_is_named(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is missing"):
        load_artifact(folder)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no manifest\.json"):
        load_artifact(tmp_path)


def test_a_newer_format_says_to_upgrade(edit_manifest: Rewrite, folder: Path) -> None:
    edit_manifest(folder, format_version=3)
    with pytest.raises(ArtifactError, match=r"format version 3; .* upgrade"):
        load_artifact(folder)


def test_an_unreadable_manifest_is_an_artifact_error(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"format_version": 1')
    with pytest.raises(ArtifactError, match="not a readable manifest"):
        load_artifact(folder)


def test_a_file_outside_the_folder_is_never_read(edit_manifest: Rewrite, folder: Path) -> None:
    edit_manifest(folder, files={"../elsewhere": {"n_bytes": 0, "sha256": ""}})
    with pytest.raises(ArtifactError, match="no plain file name"):
        load_artifact(folder)


def test_another_embedder_is_refused_with_both_names(
    folder: Path, other_embedder: Embedder
) -> None:
    with pytest.raises(ArtifactError, match=r"'words' \(revision '1'.*got 'words' \(revision '2'"):
        load_router(str(folder), embedder=other_embedder)


def test_an_unknown_family_is_refused(
    edit_manifest: Rewrite, folder: Path, word_embedder: Embedder
) -> None:
    edit_manifest(folder, router="mff")
    with pytest.raises(ArtifactError, match="unknown router family 'mff'"):
        load_router(str(folder), embedder=word_embedder)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"unknown router 'defualt'; choose one of \['default'"):
        load_router("defualt")


def test_the_random_router_has_uniform_quantiles_and_length_has_none() -> None:
    quantiles = load_router("random").win_probability_quantiles
    assert quantiles is not None
    assert quantiles[250] == pytest.approx(0.25)
    assert load_router("length").win_probability_quantiles is None


@pytest.mark.parametrize("n_quantiles", [0, 1000])
def test_a_wrong_number_of_quantiles_is_refused(
    artifact: Artifact, tmp_path: Path, n_quantiles: int
) -> None:
    record = msgspec.structs.replace(
        artifact.manifest.calibration, win_probability_quantiles=(0.5,) * n_quantiles
    )
    manifest = msgspec.structs.replace(artifact.manifest, calibration=record)
    with pytest.raises(ArtifactError, match="the format has 1001"):
        save_artifact(
            Artifact(
                manifest,
                artifact.tensors,
                artifact.reference_embeddings,
                artifact.training_prompt_hashes,
            ),
            tmp_path / "router",
        )


def test_a_map_that_is_none_is_refused_with_a_next_step(
    edit_manifest: Rewrite, folder: Path, word_embedder: Embedder
) -> None:
    calibration = json.loads((folder / "manifest.json").read_text())["calibration"]
    falling = {"kind": "platt", "slope": -1.0, "intercept": 0.0}
    edit_manifest(folder, calibration=calibration | {"map": falling})
    with pytest.raises(ArtifactError, match=r"slope above 0; calibrate or train again"):
        load_router(str(folder), embedder=word_embedder)


def test_a_map_of_unknown_kind_is_an_unreadable_manifest(
    edit_manifest: Rewrite, folder: Path
) -> None:
    calibration = json.loads((folder / "manifest.json").read_text())["calibration"]
    edit_manifest(folder, calibration=calibration | {"map": {"kind": "beta"}})
    with pytest.raises(ArtifactError, match="not a readable manifest"):
        load_artifact(folder)


@pytest.mark.parametrize(
    "calibration",
    [
        PlattScaling(slope=0.3, intercept=0.1),
        IsotonicScaling(np.array([0.0, 0.25, 1.0]), np.array([0.1, 0.3, 0.9])),
    ],
)
def test_a_calibration_map_survives_the_manifest_to_the_last_digit(
    artifact: Artifact, tmp_path: Path, calibration: CalibrationMap
) -> None:
    record = msgspec.structs.replace(artifact.manifest.calibration, map=record_map(calibration))
    manifest = msgspec.structs.replace(artifact.manifest, calibration=record)
    save_artifact(replace(artifact, manifest=manifest), tmp_path / "again")
    rebuilt = load_artifact(tmp_path / "again").manifest.calibration.map.rebuild()
    grid = np.linspace(0, 1, 101)
    assert rebuilt.apply(grid).tolist() == calibration.apply(grid).tolist()


@pytest.mark.parametrize("costs", [None, (1.0,) * 5])
def test_outcomes_must_lie_along_all_quantiles(
    artifact: Artifact, tmp_path: Path, costs: tuple[float, ...] | None
) -> None:
    outcomes = OutcomesRecord(
        strong="s", weak="w", strong_quality=1, weak_quality=0,
        qualities=(0.5,) * (7 if costs is None else 1001), costs_usd_per_1k=costs,
    )  # fmt: skip
    record = msgspec.structs.replace(artifact.manifest.calibration, outcomes=outcomes)
    manifest = msgspec.structs.replace(artifact.manifest, calibration=record)
    with pytest.raises(ArtifactError, match="the format has 1001"):
        save_artifact(replace(artifact, manifest=manifest), tmp_path / "again")


def test_an_embedder_that_was_moved_is_accepted(
    edit_manifest: Rewrite, folder: Path, word_embedder: Embedder
) -> None:
    pinned = json.loads((folder / "manifest.json").read_text())["embedder"]
    edit_manifest(folder, embedder={**pinned, "name": "sentence:where/it/was"})
    loaded = load_router(str(folder), embedder=word_embedder)
    before = load_artifact(folder).router(word_embedder).win_probabilities(PROMPTS)
    np.testing.assert_array_equal(loaded.router.win_probabilities(PROMPTS), before)


def test_a_named_embedder_is_never_fetched_or_read_for_a_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(name: str) -> Embedder:
        raise AssertionError(name)

    monkeypatch.setattr("routecast.artifacts.loaded.load_embedder", never)
    with pytest.raises(ConfigError, match=r"trained on the embedder 'words'.*give the embedder"):
        load_router(str(folder))


def test_a_router_that_a_killed_run_moved_away_is_named(folder: Path) -> None:
    (folder.parent / ".router.partial").mkdir()
    folder.rename(folder.parent / ".router.partial" / "old")
    with pytest.raises(ConfigError, match=r"was killed, and the old router is '.*partial/old'"):
        load_router(str(folder))


def test_a_folder_that_cannot_be_written_is_refused_in_words(
    artifact: Artifact, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ArtifactError, match=r"No space left on device; make room"):
        save_artifact(artifact, folder)
    monkeypatch.undo()
    assert [path.name for path in folder.parent.iterdir()] == ["router"]
    load_artifact(folder)
