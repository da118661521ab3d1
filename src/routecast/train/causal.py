"""Fine-tuning a causal LM to put a label after an instruction with the query.

Ong et al. (2024), section 4.2: labels are new tokens, about 2,000 steps, batch 8, length 2,048,
learning rate 1e-6. The network is in ``routecast.routers.causal``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routecast.embed.quiet_loading import quiet_loading
from routecast.errors import MissingExtraError
from routecast.routers.causal import FEATURE, CausalClassifier
from routecast.routers.causal_loading import load_causal_lm, load_tokenizer
from routecast.routers.causal_prompts import open_prompt_windows
from routecast.routers.causal_template import Template
from routecast.routers.model_folder import temporary_model_folder
from routecast.routers.pretrained import digest_of_folder, find_pretrained
from routecast.routers.torch_device import pick_device
from routecast.train.bert_tuning import check_length
from routecast.train.causal_lora import add_adapters, merge_adapters
from routecast.train.causal_loss import label_losses
from routecast.train.causal_settings import CausalSettings
from routecast.train.causal_tokens import add_label_tokens
from routecast.train.hugging_face import FineTuned, fine_tune, seeded
from routecast.train.registry import Step
from routecast.train.training_rows import TrainingRows
from routecast.types import FloatArray

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledQueries:
    """Queries and what the model is to say of each.

    Attributes:
        texts: The queries.
        values: On the scale of the labels' levels, in [0, 1], shape (n_queries,).
        weights: How much each counts, above 0, same shape.
    """

    texts: Sequence[str]
    values: FloatArray
    weights: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class CausalFit:
    """A fine-tuned causal LM.

    Attributes:
        classifier: The model in its folder, merged, and how it is asked.
        tuned: How the fit went.
        base: The base model's name, without the path of a folder.
        revision: Its commit on the hub; empty for a folder.
    """

    classifier: CausalClassifier
    tuned: FineTuned
    base: str
    revision: str


def fit_causal(
    training: LabelledQueries,
    *,
    validation: LabelledQueries,
    settings: CausalSettings,
    device: str | None = None,
    checkpoint: Path | None = None,
    on_step: Step | None = None,
) -> CausalFit:
    """Fine-tune a causal LM; the weights with the lowest validation loss are kept.

    Args:
        training: At least one query.
        validation: To stop and to choose by; may be empty.
        settings: How.
        device: As users write it; None picks.
        checkpoint: A folder to go on from after an interruption; None for none.
        on_step: Called after each step.

    Raises:
        ConfigError: If the base model is not within reach, does not fit the settings or the
            memory, or the checkpoint is of another fit.
        ArtifactError: If the base model's folder is damaged or asks for code of its own.
        MissingExtraError: If torch, transformers, accelerate or peft is not installed.
    """
    target = pick_device(device, feature=FEATURE)
    base = find_pretrained(settings.base, feature=FEATURE)
    check_length(base.folder, settings.length)
    labels, template = settings.label_set(), settings.read_template()
    kept = temporary_model_folder()
    folder = kept.path
    _join_processes(target)
    with seeded(settings.seed):
        model, label_ids = _labelled_model(base.folder, folder, settings, target)
    windows = open_prompt_windows(folder, template, length=settings.length)

    def rows_of(queries: LabelledQueries) -> TrainingRows:
        return TrainingRows(
            ids=windows.windows(queries.texts),
            targets=labels.targets(queries.values),
            weights=queries.weights,
        )

    tuned = fine_tune(
        model,
        training=rows_of(training),
        validation=rows_of(validation),
        row_losses=label_losses(label_ids),
        pad_id=0,
        settings=settings.fine_tuning(),
        device=target,
        fit=_what_decides(settings, template, digest_of_folder(base.folder)),
        checkpoint=checkpoint,
        on_step=on_step,
    )
    _save(model, tuned, folder, dtype=_stored_dtype(base.folder))
    classifier = CausalClassifier(
        folder=kept,
        labels=labels,
        template=template,
        length=settings.length,
        device=device,
    )
    return CausalFit(classifier=classifier, tuned=tuned, base=base.name, revision=base.revision)


def _join_processes(target: "torch.device") -> None:
    """Let the processes of one run find each other before the model is loaded.

    Under FSDP the first one alone then reads the weights, see ``fsdp_cpu_ram_efficient_loading``.
    """
    try:
        from accelerate import PartialState
    except ModuleNotFoundError:
        raise MissingExtraError(FEATURE, "torch") from None
    PartialState(cpu=target.type == "cpu")


def _labelled_model(
    base: Path, folder: Path, settings: CausalSettings, target: "torch.device"
) -> tuple[Any, tuple[int, ...]]:
    """Load the base model, give it the labels, and keep its tokenizer in ``folder``."""
    # Full fine-tuning needs float32 weights to add small steps to; adapters have their own. The
    # Trainer moves the model: each of several processes has a GPU of its own.
    model = load_causal_lm(
        base,
        device="cpu",
        feature=FEATURE,
        attention=settings.attention,
        dtype="float32" if settings.tune == "full" or target.type == "cpu" else "auto",
    )
    tokenizer = load_tokenizer(base)
    label_ids = add_label_tokens(model, tokenizer, settings.label_set().tokens)
    tokenizer.save_pretrained(folder)
    if settings.gradient_checkpointing:
        with quiet_loading():
            model.gradient_checkpointing_enable({"use_reentrant": False})
    if settings.tune == "lora":
        model = add_adapters(
            model,
            label_ids,
            rank=settings.lora_rank,
            alpha=settings.lora_alpha,
            dropout=settings.lora_dropout,
        )
    return model, label_ids


def _save(
    model: Any,  # noqa: ANN401 (a PreTrainedModel or a PeftModel)
    tuned: FineTuned,
    folder: Path,
    *,
    dtype: "torch.dtype",
) -> None:
    """Write the plain model, in the type in which the base model was stored."""
    with quiet_loading():
        if tuned.weights is None:
            merge_adapters(model).to(dtype=dtype).save_pretrained(folder)
        else:
            weights = {name: one.to(dtype) for name, one in tuned.weights.items()}
            model.save_pretrained(folder, state_dict=weights)


def _stored_dtype(base: Path) -> "torch.dtype":
    """Return the type of the base model's weights, which the result is stored in too."""
    import torch
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(base, local_files_only=True).dtype
    return found if isinstance(found, torch.dtype) else torch.float32


def _what_decides(settings: CausalSettings, template: Template, base_digest: str) -> dict[str, Any]:
    """Return what a checkpoint depends on beside the Trainer's settings and the rows."""
    names = ("tune", "labels", "lora_rank", "lora_alpha", "lora_dropout", "length")
    return {
        **{name: getattr(settings, name) for name in names},
        "family": "causal",
        "base": base_digest,
        "instruction": [template.prefix, template.suffix],
    }
