"""A causal LM and its tokenizer from their folder."""

from pathlib import Path
from typing import Any

from routecast.embed.quiet_loading import quiet_loading
from routecast.errors import ArtifactError
from routecast.routers.torch_device import pick_device
from routecast.routers.transformers_loading import load_pretrained


def load_causal_lm(
    folder: Path,
    *,
    device: str | None,
    feature: str,
    attention: str = "auto",
    dtype: str | None = None,
) -> Any:  # noqa: ANN401 (a PreTrainedModel, whose class torch has)
    """Load a causal LM in evaluation mode, on its device.

    Args:
        folder: Holds ``config.json`` and weights in safetensors.
        device: As users write it; None picks.
        feature: What needs it, for messages.
        attention: ``sdpa``, ``flash_attention_2`` or ``eager``, as transformers names them;
            ``auto`` is ``sdpa`` where the model has it.
        dtype: As torch names it. None takes that of the file on a GPU, and float32 on the CPU,
            where half precision is slow.

    Raises:
        ArtifactError: If the folder is damaged, is no causal LM, or asks for code of its own.
        ConfigError: If there is no such device.
        MissingExtraError: If torch or transformers is not installed.
    """
    target = pick_device(device, feature=feature)
    model = load_pretrained(
        folder,
        "AutoModelForCausalLM",
        feature=feature,
        dtype=dtype or ("float32" if target.type == "cpu" else "auto"),
        attn_implementation=None if attention == "auto" else attention,
    )
    return model.to(target).eval()


def load_tokenizer(folder: Path) -> Any:  # noqa: ANN401 (of transformers, which is untyped)
    """Load the tokenizer of a model's folder.

    Raises:
        ArtifactError: If the folder holds none, or it is damaged.
    """
    from transformers import AutoTokenizer

    try:
        with quiet_loading():
            return AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except (AttributeError, ImportError, LookupError, OSError, TypeError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArtifactError(
            f"cannot load the tokenizer in {str(folder)!r}: {reason}; copy the whole folder again"
        ) from error
