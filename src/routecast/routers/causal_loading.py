"""A causal LM from its folder, without running code of the folder's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routecast.errors import ArtifactError, MissingExtraError
from routecast.routers.model_folder import refuse_remote_code
from routecast.routers.torch_device import pick_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What torch and transformers raise when a file of a model is damaged.
_DAMAGE = (AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def load_causal_lm(
    folder: Path,
    *,
    device: str | None,
    feature: str,
    attention: str = "sdpa",
    dtype: str | None = None,
) -> "PreTrainedModel":
    """Load a causal LM in evaluation mode, on its device.

    Args:
        folder: Holds ``config.json`` and weights in safetensors.
        device: As users write it; None picks.
        feature: What needs it, for messages.
        attention: ``sdpa``, ``flash_attention_2`` or ``eager``, as transformers names them; a
            model without ``sdpa`` of its own is loaded with ``eager``.
        dtype: As torch names it. None takes that of the file on a GPU, and float32 on the CPU,
            where half precision is slow.

    Raises:
        ArtifactError: If the folder is damaged, is no causal LM, or asks for code of its own.
        ConfigError: If there is no such device.
        MissingExtraError: If torch or transformers is not installed.
    """
    target = pick_device(device, feature=feature)
    try:
        from transformers import AutoModelForCausalLM
    except ModuleNotFoundError:
        raise MissingExtraError(feature, "torch") from None
    from safetensors import SafetensorError

    refuse_remote_code(folder)
    options: dict[str, Any] = {
        "dtype": dtype or ("float32" if target.type == "cpu" else "auto"),
        "local_files_only": True,
        "trust_remote_code": False,
        "use_safetensors": True,
        "attn_implementation": attention,
    }
    try:
        with quiet_transformers():
            model = AutoModelForCausalLM.from_pretrained(folder, **options)
    except (*_DAMAGE, SafetensorError) as error:
        raise ArtifactError(
            f"cannot load the causal LM in {str(folder)!r}: {error}; give the whole folder of a "
            "causal LM that transformers knows"
        ) from error
    loaded: PreTrainedModel = model.to(target).eval()
    return loaded


def load_tokenizer(folder: Path) -> Any:  # noqa: ANN401 (of transformers, which is untyped)
    """Load the tokenizer of a model's folder.

    Raises:
        ArtifactError: If the folder holds none, or it is damaged.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except _DAMAGE as error:
        raise ArtifactError(
            f"cannot load the tokenizer in {str(folder)!r}: {error}; copy the whole folder again"
        ) from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing bars and from saying what is no concern of the user's."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
