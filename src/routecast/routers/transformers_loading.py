"""Pretrained networks by transformers: safetensors only, no network, no code of the model's own."""

from pathlib import Path
from typing import Any

from routecast.embed.quiet_loading import quiet_loading
from routecast.errors import ArtifactError, MissingExtraError
from routecast.routers.model_folder import refuse_remote_code

# What torch, transformers and the classes of a model raise when a file of theirs is damaged.
_DAMAGE = (AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def load_pretrained(
    folder: Path,
    auto_class: str,
    *,
    feature: str,
    dtype: str = "float32",
    **options: Any,  # noqa: ANN401 (transformers' own)
) -> Any:  # noqa: ANN401 (a PreTrainedModel, whose class torch has)
    """Load a network from a folder, on the CPU.

    Args:
        folder: Holds ``config.json`` and safetensors.
        auto_class: Of transformers: ``AutoModelForSequenceClassification`` or the like.
        feature: What needs it, for the message where a library is missing.
        dtype: Of the weights, as torch names it.
        **options: Passed on to ``from_pretrained``.

    Raises:
        ArtifactError: If it cannot be read, or asks for code of its own.
        MissingExtraError: If torch or transformers is not installed.
    """
    try:
        import torch  # noqa: F401 (transformers without it fails later, and less clearly)
        import transformers
    except ModuleNotFoundError:
        raise MissingExtraError(feature, "torch") from None
    from safetensors import SafetensorError

    refuse_remote_code(folder)
    try:
        with quiet_loading():
            return getattr(transformers, auto_class).from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=dtype,
                **options,
            )
    except (*_DAMAGE, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArtifactError(
            f"cannot load the model in {str(folder)!r} as {auto_class}: {reason}; copy the whole "
            "folder again, or choose a model that transformers itself can load so"
        ) from error
