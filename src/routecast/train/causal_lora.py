"""LoRA for a causal LM whose vocabulary has new labels: adapters, and the labels' own rows."""

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from routecast.embed.quiet_loading import quiet_loading
from routecast.errors import ConfigError, MissingExtraError


def add_adapters(
    model: Any,  # noqa: ANN401 (a PreTrainedModel, whose class torch has)
    label_ids: Sequence[int],
    *,
    rank: int,
    alpha: int,
    dropout: float,
) -> Any:  # noqa: ANN401 (a PeftModel, which is untyped)
    """Wrap a model so that low-rank adapters of all its linear layers and the label rows train.

    Args:
        model: Its weights are frozen.
        label_ids: Rows of the input and of the output embeddings that train; where the two are
            tied, the one row.
        rank: Of the adapters.
        alpha: Their scale times ``rank``.
        dropout: On the adapters' input.

    Raises:
        ConfigError: If the model has no layers that adapters fit on.
        MissingExtraError: If peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError:
        raise MissingExtraError("tune='lora'", "torch") from None
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules="all-linear",
        trainable_token_indices={name: list(label_ids) for name in _row_layers(model)},
    )
    try:
        with quiet_loading():
            # peft turns it round by itself for layers that keep their weights the other way.
            warnings.filterwarnings("ignore", message="fan_in_fan_out")
            wrapped: Any = get_peft_model(model, config)
    except ValueError as error:
        raise ConfigError(
            f"LoRA does not fit this base model: {error}; train it with --set tune=full"
        ) from None
    # The label rows are saved by themselves; peft would add the whole embeddings, which grew.
    wrapped.save_pretrained = partial(wrapped.save_pretrained, save_embedding_layers=False)
    return wrapped


def _row_layers(model: Any) -> list[str]:  # noqa: ANN401 (torch's)
    """Return the names of the layers with a row per token; peft follows a tied one by itself."""
    layers = [model.get_input_embeddings()]
    head = model.get_output_embeddings()
    if head.weight is not layers[0].weight:
        layers.append(head)
    names = {id(module): name for name, module in model.named_modules()}
    return [names[id(layer)].rpartition(".")[2] for layer in layers]


def merge_adapters(model: Any) -> Any:  # noqa: ANN401 (a PeftModel or not)
    """Return the plain model whose weights hold the adapters and the label rows.

    It scores as the wrapped one does. An artifact holds this one, so that it is loaded like any
    other causal LM, by Routecast without peft and by any server.
    """
    merge = getattr(model, "merge_and_unload", None)
    return model if merge is None else merge()
