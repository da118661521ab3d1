"""A router as it is saved and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass

from routecast.artifacts.records import Manifest
from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.errors import ArtifactError
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.model_folder import ModelFolder
from routecast.routers.registry import rebuild_router
from routecast.types import AnyArray, EmbeddingArray
from routecast.upstream.endpoint import Endpoint


@dataclass(frozen=True)
class Artifact:
    """A router as it is saved and loaded.

    Attributes:
        manifest: Its ``files`` may be empty before saving; saving fills it in.
        tensors: The family's own arrays, by name.
        reference_embeddings: At most 512 embeddings of training prompts, shape (n, dimension),
            for the check of unlike traffic.
        training_prompt_hashes: Sorted 64-bit hashes of the normalised training prompts, for the
            overlap check.
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
            ArtifactError: If the embedder is not the one that the artifact pins, or the manifest
                holds no usable calibration.
            ConfigError: If there is no such device, or an embedder or endpoint is missing.
            MissingExtraError: If the family needs an extra that is not installed.
        """
        if embedder is not None:
            _check_embedder(self.manifest.embedder, embedder.identity)
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
        try:
            calibration = self.manifest.calibration.map.rebuild()
        except ValueError as error:
            raise ArtifactError(
                f"the manifest's calibration map is unusable: {error}; calibrate or train again"
            ) from None
        return CalibratedRouter(scored, calibration)


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
