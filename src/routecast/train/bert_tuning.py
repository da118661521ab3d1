"""What of an encoder is trained, its loss, and how it is saved."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routecast.embed.quiet_loading import quiet_loading
from routecast.errors import ConfigError, MissingExtraError
from routecast.routers.bert_onnx import FEATURE
from routecast.routers.model_folder import read_json_object

if TYPE_CHECKING:
    import torch

_OFFSET_POSITIONS = ("camembert", "roberta", "xlm-roberta", "xmod", "longformer")


def check_length(folder: Path, length: int) -> None:
    """Refuse a length that the encoder has no positions for.

    Raises:
        ConfigError: Saying how many it has.
    """
    config = read_json_object(folder / "config.json")
    positions, pad_id = config.get("max_position_embeddings"), config.get("pad_token_id")
    if not isinstance(positions, int) or positions < 1:
        return  # relative positions have no end
    if config.get("model_type") in _OFFSET_POSITIONS:  # these begin after the padding's position
        positions -= (pad_id if isinstance(pad_id, int) else 0) + 1
    if length > positions:
        raise ConfigError(
            f"length {length!r} is more than the {positions} tokens that the model in "
            f"{str(folder)!r} reads; give --set length={positions} or less"
        )


def prepare_tuning(model: Any, *, tune: str, lora_rank: int) -> Any:  # noqa: ANN401 (torch's)
    """Choose which weights are trained.

    Args:
        model: An encoder with a classification head.
        tune: ``full``, ``head`` or ``lora``.
        lora_rank: Rank of the low-rank changes.

    Returns:
        The model, or a wrapper of it that trains low-rank changes beside the head.

    Raises:
        ConfigError: If the architecture has no head that can be told from the encoder.
        MissingExtraError: If peft is needed and not installed.
    """
    if tune == "full":
        return model
    if getattr(model, "base_model", model) is model:
        raise ConfigError(
            f"{type(model).__name__} has no head that can be told from its encoder; use tune=full"
        )
    if tune == "lora":
        return _add_low_rank(model, lora_rank)
    for weight in model.base_model.parameters():
        weight.requires_grad_(requires_grad=False)
    return model


def _add_low_rank(model: Any, lora_rank: int) -> Any:  # noqa: ANN401 (torch's)
    """Wrap the encoder's linear layers; the head is trained whole."""
    try:
        import peft
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError(FEATURE, "torch") from None
    encoder = model.base_model_prefix
    linear = [
        name
        for name, module in model.named_modules()
        if name.startswith(f"{encoder}.") and isinstance(module, torch.nn.Linear)
    ]
    head = [
        name
        for name, child in model.named_children()
        if child is not model.base_model and any(True for _ in child.parameters())
    ]
    # peft takes a name for all that end with it, and wraps what two names mean twice.
    head = [name for name in head if not any(name.endswith(o) for o in head if o != name)]
    config = peft.LoraConfig(
        r=lora_rank,
        lora_alpha=2 * lora_rank,
        lora_dropout=0.0,
        target_modules=linear,
        modules_to_save=head,
    )
    with quiet_loading():
        return peft.get_peft_model(model, config)


def merge_tuned(model: Any) -> Any:  # noqa: ANN401 (torch's)
    """Return a plain model with the low-rank changes added to its weights, where there are any."""
    with quiet_loading():
        return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def row_losses(model: Any, batch: Mapping[str, "torch.Tensor"]) -> "torch.Tensor":  # noqa: ANN401 (torch's)
    """Return the logistic loss of each row against P(strong wins), in nats, shape (n_rows,)."""
    import torch

    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:, 0].float(), batch["targets"].float(), reduction="none"
    )


def save_classifier(model: Any, folder: Path, *, tokenizer: Path) -> None:  # noqa: ANN401 (torch's)
    """Write configuration, weights and tokenizer: all that scoring reads."""
    with quiet_loading():
        model.cpu().eval().save_pretrained(str(folder))
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
