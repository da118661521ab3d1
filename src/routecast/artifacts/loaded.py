"""Routers by name or folder, ready to score."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from routecast.artifacts.layout import N_QUANTILES
from routecast.artifacts.loading import load_artifact
from routecast.artifacts.records import Manifest
from routecast.data.durable import interrupted_copy
from routecast.embed.protocol import CutsTexts, Embedder
from routecast.embed.registry import load_embedder
from routecast.errors import ConfigError
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.explanation import Explanation
from routecast.routers.families import reads_vectors
from routecast.routers.protocol import Explains, Router, StatesDoubt
from routecast.routers.registry import BASELINES
from routecast.routers.torch_device import check_device_name
from routecast.types import FloatArray
from routecast.upstream.endpoint import Endpoint


@dataclass(frozen=True)
class LoadedRouter:
    """A router that is ready to score, with what its goals are read from.

    Attributes:
        name: As the user named it.
        router: Scores prompts.
        win_probability_quantiles: 1,001 quantiles on the calibration sample, ascending; None
            where a router has no such sample.
        calibration_sample: That sample in words, or None.
        manifest: None for the baselines, which need no training.
        embedder: What turns prompts into vectors, or None where none is needed.
    """

    name: str
    router: Router
    win_probability_quantiles: FloatArray | None
    calibration_sample: str | None
    manifest: Manifest | None
    embedder: Embedder | None = None

    @property
    def abstained_share(self) -> float:
        """Share of the calibration sample that the router gave no score; 0 without a sample."""
        return 0.0 if self.manifest is None else self.manifest.calibration.abstained_share

    def count_cut(self, prompts: Sequence[str]) -> int:
        """Return how many prompts are too long to be read whole."""
        readers: tuple[object, ...] = (self._scorer, self.embedder)  # texts may need no vectors
        for reader in readers:
            if isinstance(reader, CutsTexts):
                return sum(bool(reader.cut(prompt)) for prompt in prompts)
        return 0

    def gap_deviations(self, prompts: Sequence[str]) -> FloatArray | None:
        """Return how far the expected gap of each prompt may be off, see `StatesDoubt`.

        Shape (n_prompts,), NaN where it is not known; None if it is known of none.
        """
        scorer = self._scorer
        if not isinstance(scorer, StatesDoubt):
            return None
        deviations = scorer.gap_deviations(prompts)
        return None if np.isnan(deviations).all() else deviations

    def explain(self, prompt: str) -> Explanation:
        """Return what the prompt's win probability is made of, before calibration.

        Raises:
            ConfigError: If the router cannot say; linear ones can.
        """
        scorer = self._scorer
        if not isinstance(scorer, Explains):
            raise ConfigError(
                f"router {self.name!r} cannot say which features count; accepted are linear "
                "routers: default, or the folder of one trained by 'routecast train ridge'"
            )
        return scorer.explain(prompt)

    @property
    def _scorer(self) -> Router:
        """What scores, without its calibration."""
        return self.router.router if isinstance(self.router, CalibratedRouter) else self.router


def load_router(
    name: str = "default",
    *,
    embedder: Embedder | None = None,
    device: str | None = None,
    endpoint: Endpoint | None = None,
) -> LoadedRouter:
    """Load a router by name or folder.

    A folder is data that anybody may have made: beyond its own files nothing is read and nobody is
    asked but what the arguments name.

    Args:
        name: ``default`` (ships with the package), ``random``, ``length``, or an artifact's folder.
        embedder: What the router was trained on; needed where that was not ``static`` and the
            router scores vectors.
        device: Where a router that is a neural network runs: ``cpu``, ``cuda``, ``cuda:N`` or
            ``mps``; None picks. Others have no use for it.
        endpoint: What a router asks that asks one; its model is the artifact's.

    Raises:
        ConfigError: If nothing has that name, there is no such device, or the router needs an
            embedder or an endpoint that was not given.
        ArtifactError: If the artifact is damaged, newer than this version, or pins another
            embedder.
        MissingExtraError: If the router or its embedder needs an extra that is not installed.
    """
    check_device_name(device)
    if name == "random":
        return LoadedRouter(
            name, BASELINES[name](), np.linspace(0, 1, N_QUANTILES), "uniform by construction", None
        )
    if name in BASELINES:
        return LoadedRouter(name, BASELINES[name](), None, None, None)
    artifact = load_artifact(router_folder(name))
    manifest = artifact.manifest
    embedder = embedder or _own_embedder(manifest)
    router = artifact.router(embedder, device=device, endpoint=endpoint)
    quantiles = np.asarray(manifest.calibration.win_probability_quantiles, dtype=np.float64)
    return LoadedRouter(name, router, quantiles, manifest.calibration.sample, manifest, embedder)


def _own_embedder(manifest: Manifest) -> Embedder | None:
    """Return the embedder that ships with the package, where the router needs no other.

    Any other is a folder, a hub's model or a server, and these are the user's to name.
    """
    if manifest.embedder.name == "static":
        return load_embedder("static")
    if reads_vectors(manifest.router):
        raise ConfigError(
            f"the router was trained on the embedder {manifest.embedder.name!r}, and what a folder "
            "names is not fetched or read for it; give the embedder yourself: --embedder "
            "sentence:ID_OR_FOLDER (or openai:MODEL with --embedder-url), router_embedder in "
            "routecast.toml, or load_router(..., embedder=load_embedder(...))"
        )
    return None


def _moved(folder: Path) -> Path | None:
    try:
        return interrupted_copy(folder)
    except (OSError, ValueError):
        return None


def router_folder(name: str) -> Path:
    """Return the folder of a trained router: that of ``default``, or the one that is named.

    Raises:
        ConfigError: If nothing has that name.
    """
    if name == "default":
        return Path(str(files("routecast"))) / "models" / "default"
    folder = Path(name)
    try:
        is_there = folder.exists()
    except (OSError, ValueError):  # no file system has such a name
        is_there = False
    if not is_there:
        if (old := _moved(folder)) is not None:
            raise ConfigError(
                f"there is no {name!r}: a run that was replacing it was killed, and the old router "
                f"is {str(old)!r}; run that command again, or move it back"
            )
        known = ["default", *BASELINES]
        raise ConfigError(
            f"unknown router {name!r}; choose one of {known!r} or the folder of a trained router"
        )
    return folder
