"""A router as it is saved and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass

from routecast.artifacts.records import Manifest
from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.errors import ArtifactError
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.families import reads_vectors
from routecast.routers.model_folder import ModelFolder
from routecast.routers.protocol import Router
from routecast.routers.registry import rebuild_router
from routecast.types import AnyArray, EmbeddingArray
from routecast.upstream.endpoint import Endpoint

_UNFIT = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors of numpy and the families for arrays, names and settings that do not fit together."""


@dataclass(frozen=True)
class Artifact:
    """A router as it is saved and loaded.

    Attributes:
        manifest: Its ``files`` may be empty before saving; saving fills it in.
        tensors: The family's own arrays, by name.
        reference_embeddings: Embeddings of at most `MAX_REFERENCES` training prompts, shape
            (n, dimension); calibration compares its sample with them.
        training_prompt_hashes: Sorted 64-bit hashes of the normalised training prompts; evaluation
            and calibration count those of theirs that are among them.
        model_folder: The Hugging Face folder of a router that is a neural network, else None.
    """

    manifest: Manifest
    tensors: Mapping[str, AnyArray]
    reference_embeddings: EmbeddingArray
    training_prompt_hashes: AnyArray
    model_folder: ModelFolder | None = None

    def router(
        self,
        embedder: Embedder | None,
        *,
        device: str | None = None,
        endpoint: Endpoint | None = None,
    ) -> CalibratedRouter:
        """Rebuild the calibrated router.

        Args:
            embedder: The one that the manifest pins; families that read texts need none.
            device: Where a neural network runs, see `routecast.routers.torch_device`; None picks.
            endpoint: What a router asks that asks one: an artifact names none.

        Raises:
            ArtifactError: If the embedder is not the one that the artifact pins, or weights,
                names, settings and calibration do not fit together.
            ConfigError: If there is no such device, or an embedder or endpoint is missing.
            MissingExtraError: If the family needs an extra that is not installed.
        """
        if embedder is not None:
            _check_embedder(self.manifest.embedder, embedder.identity)
        try:
            scored = rebuild_router(
                self.manifest.router,
                self.tensors,
                strong=self.manifest.strong,
                weak=self.manifest.weak,
                embedder=embedder,
                model_folder=self.model_folder,
                settings=self.manifest.settings,
                device=device,
                endpoint=endpoint,
            )
            if reads_vectors(self.manifest.router):
                _try_out(scored)
            calibration = self.manifest.calibration.map.rebuild()
        except _UNFIT as error:
            raise ArtifactError(
                f"the weights and the manifest of this {self.manifest.router!r} router do not fit "
                f"together: {error}; copy the whole folder again, or calibrate or train again"
            ) from error
        return CalibratedRouter(scored, calibration)


def _try_out(router: Router) -> None:
    """Score one prompt, so that arrays that do not fit together are found before any traffic."""
    scores = router.win_probabilities(["How are you?"])
    if scores.shape != (1,) or scores[0] < 0 or scores[0] > 1:
        raise ValueError(f"a prompt scores {scores!r}, not one number in [0, 1]")


def _check_embedder(pinned: EmbedderIdentity, given: EmbedderIdentity) -> None:
    """Refuse vectors that the router was not trained on; where the files lie does not matter."""
    if given.gives_vectors_of(pinned):
        return
    raise ArtifactError(
        f"the router was trained on embedder {pinned.name!r} (revision {pinned.revision!r}, "
        f"{pinned.dimension} dimensions, digest {pinned.digest[:12]}), and got {given.name!r} "
        f"(revision {given.revision!r}, {given.dimension} dimensions, digest {given.digest[:12]}); "
        "use that embedder, or train again on this one"
    )
