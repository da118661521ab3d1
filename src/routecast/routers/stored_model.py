"""What a family that reads texts is rebuilt from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routecast.errors import ArtifactError
from routecast.routers.model_folder import ModelFolder
from routecast.types import AnyArray
from routecast.upstream.endpoint import Endpoint


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredModel:
    """The parts of an artifact that make a router of texts.

    Attributes:
        tensors: The family's own arrays, by name.
        settings: As the manifest has them.
        strong: Models that stand for strong.
        weak: Likewise for weak.
        model_folder: The network; None for a router that asks an endpoint.
        device: Where it runs, see `routecast.routers.torch_device`; None picks.
        endpoint: What is asked, as the user named it; None where nobody did.
    """

    tensors: Mapping[str, AnyArray] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    strong: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    model_folder: ModelFolder | None = None
    device: str | None = None
    endpoint: Endpoint | None = None

    def require_folder(self) -> ModelFolder:
        """Return the network's folder.

        Raises:
            ArtifactError: If the artifact has none.
        """
        if self.model_folder is None:
            raise ArtifactError("the router's folder lacks 'model/'; copy it again, or train again")
        return self.model_folder
