"""A model's folder on this machine: the user's own, or the hub's, fetched once."""

from collections.abc import Sequence
from pathlib import Path

from routecast.errors import ConfigError, MissingExtraError


def may_be_hub_id(where: str) -> bool:
    """Tell ``OWNER/NAME`` from a path that is misspelt."""
    parts = where.split("/")
    return len(parts) <= 2 and all(parts) and where[0] not in ".~" and "\\" not in where


def fetch_hub_folder(
    model_id: str,
    *,
    feature: str,
    patterns: Sequence[str],
    ignored: Sequence[str] = (),
    instead: str = "FOLDER",
) -> Path:
    """Return the hub's folder of a model; what was fetched before needs no network.

    Args:
        model_id: ``OWNER/NAME``.
        feature: What needs it, for the message where the library is missing.
        patterns: Of the files to fetch, as in ``*.safetensors``.
        ignored: Of files not to fetch all the same.
        instead: How users would name a folder of their own.

    Raises:
        ConfigError: If there is no such model within reach.
        MissingExtraError: If the hub's library is not installed.
    """
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        raise MissingExtraError(feature, "torch") from None
    try:
        folder = snapshot_download(
            model_id, allow_patterns=list(patterns), ignore_patterns=list(ignored) or None
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot fetch the model {model_id!r} from the Hugging Face hub: "
            f"{_first_line(error)}; check the id and the network (gated models need "
            "`hf auth login`), or copy the model's folder here and give that instead: "
            f"{instead}"
        ) from error
    return Path(folder)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
