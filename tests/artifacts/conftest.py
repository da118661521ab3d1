"""An artifact of the family mf, and manifests that somebody else has written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from routecast.artifacts import (
    FORMAT_VERSION,
    Artifact,
    CalibrationRecord,
    Manifest,
    MetricRecord,
    PlattRecord,
    Source,
    TrainingRecord,
    save_artifact,
)
from routecast.artifacts.layout import sign_manifest
from routecast.embed.protocol import Embedder
from routecast.routers.mf import MatrixFactorization

PROMPTS = ["one", "two words", "a third prompt"]

Rewrite = Callable[..., None]


@pytest.fixture
def model() -> MatrixFactorization:
    generator = np.random.default_rng(5)
    return MatrixFactorization(
        model_names=("strong-1", "weak-1"),
        projection=generator.normal(size=(8, 3)),
        projection_bias=generator.normal(size=3),
        output=generator.normal(size=3),
        model_vectors=generator.normal(size=(2, 3)),
        n_comparisons=np.array([7.0, 7.0]),
    )


@pytest.fixture
def artifact(model: MatrixFactorization, word_embedder: Embedder) -> Artifact:
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        router="mf",
        package_version="0.1.0",
        embedder=word_embedder.identity,
        strong=("strong-1",),
        weak=("weak-1",),
        seed=5,
        settings={"n_factors": 3},
        training=TrainingRecord(
            digest="0" * 64,
            n_prompts=2,
            n_comparisons=7,
            sources=(Source(name="made up", licence="none", n_prompts=2, n_comparisons=7),),
        ),
        calibration=CalibrationRecord(
            sample="two prompts",
            n_prompts=2,
            map=PlattRecord(slope=0.5, intercept=0.1),
            win_probability_quantiles=tuple(np.linspace(0.2, 0.7, 1001).tolist()),
        ),
        metrics=(
            MetricRecord(
                benchmark="made up", metric="apgr", value=0.5, low=0.4, high=0.6, n_prompts=2
            ),
        ),
        files={},
    )
    hashes = np.array([3, 2**64 - 1], dtype=np.uint64)
    return Artifact(manifest, model.tensors(), word_embedder.embed(PROMPTS), hashes)


@pytest.fixture
def folder(artifact: Artifact, tmp_path: Path) -> Path:
    save_artifact(artifact, tmp_path / "router")
    return tmp_path / "router"


@pytest.fixture
def edit_manifest() -> Rewrite:
    """Change fields of a manifest and sign it again, as whoever makes a folder can."""

    def edit(folder: Path, **changes: object) -> None:
        path = folder / "manifest.json"
        document = json.loads(path.read_text()) | changes | {"digest": ""}
        path.write_bytes(sign_manifest(json.dumps(document, indent=1).encode()))

    return edit
