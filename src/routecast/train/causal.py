"""Fine-tuning a causal LM to put a label after an instruction with the query.

Ong et al. (2024), section 4.2: labels are new tokens, about 2,000 steps, batch 8, length 2,048,
learning rate 1e-6. The network is in ``routecast.routers.causal``.
"""

import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

from routecast.errors import ConfigError
from routecast.routers.causal import FEATURE, CausalClassifier
from routecast.routers.causal_labels import GOOD_GRADE, LabelSet, find_labels
from routecast.routers.causal_loading import load_causal_lm, load_tokenizer, quiet_transformers
from routecast.routers.causal_prompts import open_prompt_windows
from routecast.routers.causal_template import Template, default_template, read_template
from routecast.routers.model_folder import ModelFolder
from routecast.routers.pretrained import find_pretrained
from routecast.routers.torch_device import pick_device
from routecast.train.causal_loss import label_losses
from routecast.train.causal_lora import add_adapters, merge_adapters
from routecast.train.causal_tokens import add_label_tokens
from routecast.train.hugging_face import FineTuned, FineTuning, fine_tune
from routecast.train.registry import Step
from routecast.train.training_rows import TrainingRows
from routecast.types import FloatArray

if TYPE_CHECKING:
    import torch

TRAINED_LABELS: Final = ("win", "grade")
_TUNES: Final = ("full", "lora")
_ATTENTIONS: Final = ("sdpa", "flash_attention_2", "eager")
_RATES: Final = {"full": 1e-6, "lora": 1e-4}


@dataclass(frozen=True, kw_only=True)
class CausalSettings:
    """How to fine-tune. Numbers are the paper's where it gives them.

    Attributes:
        base: Id on the Hugging Face hub, or folder, of a causal LM.
        tune: ``full``, every weight; or ``lora``, adapters and the labels' rows.
        labels: ``win``: strong, tie, weak; or ``grade``: five grades of the weak answer, which
            needs outcomes.
        good_grade: With ``grade``, the lowest grade that is good enough.
        template: File with the instruction, ``{query}`` where the query goes; empty for ours.
        length: Tokens at most, instruction and query; of a longer query the middle is left out.
        n_steps: Steps of the optimiser at most.
        batch: Rows of a step.
        micro_batch: Rows in memory at once; 0 for the whole batch.
        learning_rate: Peak; 0 takes 1e-6 for ``full`` and 1e-4 for ``lora``.
        weight_decay: Of all weights but biases and norms.
        warmup: Share of the steps that the learning rate rises for.
        eval_steps: Steps between looks at the validation rows.
        patience: Looks without a lower loss after which the fit stops; 0 never stops.
        gradient_checkpointing: Compute activations twice instead of keeping them: a third more
            time for a small part of the memory.
        attention: ``sdpa``, ``flash_attention_2`` (a package of its own) or ``eager``.
        lora_rank: Of the adapters.
        lora_alpha: Their scale times the rank.
        lora_dropout: On their input.
        seed: Of the order and of dropout.
    """

    base: str = ""
    tune: str = "full"
    labels: str = "win"
    good_grade: int = GOOD_GRADE
    template: str = ""
    length: int = 2048
    n_steps: int = 2000
    batch: int = 8
    micro_batch: int = 0
    learning_rate: float = 0.0
    weight_decay: float = 0.0
    warmup: float = 0.1
    eval_steps: int = 100
    patience: int = 5
    gradient_checkpointing: bool = False
    attention: str = "sdpa"
    lora_rank: int = 16
    lora_alpha: float = 32.0
    lora_dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no fit can be made with; the numbers of `FineTuning` it checks itself."""
        for name, accepted in (
            ("tune", _TUNES),
            ("labels", TRAINED_LABELS),
            ("attention", _ATTENTIONS),
        ):
            if getattr(self, name) not in accepted:
                raise ConfigError(
                    f"{name} {getattr(self, name)!r}; choose one of {list(accepted)!r}"
                )
        if not self.base.strip():
            raise ConfigError(
                "causal needs a model to start from: --set base=ID_OR_FOLDER, an id on the "
                "Hugging Face hub such as Qwen/Qwen2.5-0.5B, or a folder"
            )
        if self.lora_rank < 1 or not self.lora_alpha > 0 or not 0 <= self.lora_dropout < 1:
            raise ConfigError(
                f"lora_rank {self.lora_rank!r}, lora_alpha {self.lora_alpha!r} and lora_dropout "
                f"{self.lora_dropout!r}; accepted are at least 1, above 0, and from 0 to below 1"
            )
        self.label_set()
        self.fine_tuning()

    def label_set(self) -> LabelSet:
        """Return the labels that the model learns."""
        return find_labels(self.labels, good_grade=self.good_grade, among=TRAINED_LABELS)

    def fine_tuning(self) -> FineTuning:
        """Return what the Trainer needs of all this."""
        return FineTuning(
            n_steps=self.n_steps,
            batch=self.batch,
            micro_batch=self.micro_batch,
            learning_rate=self.learning_rate or _RATES[self.tune],
            weight_decay=self.weight_decay,
            warmup=self.warmup,
            eval_steps=self.eval_steps,
            patience=self.patience,
            seed=self.seed,
        )

    def read_template(self) -> Template:
        """Return the instruction.

        Raises:
            ConfigError: If the file cannot be read, or has no one place for the query.
        """
        if not self.template:
            return default_template(self.labels)
        return read_template(self.template)


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
        revision: The base model's commit on the hub; empty for a folder.
    """

    classifier: CausalClassifier
    tuned: FineTuned
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
    labels, template = settings.label_set(), settings.read_template()
    place = _Workspace(checkpoint)
    folder = place.folder / "model"
    model, label_ids = _labelled_model(base.folder, folder, settings, device)
    windows = open_prompt_windows(folder, template, length=settings.length)
    stored_dtype = _stored_dtype(base.folder)

    def rows_of(queries: LabelledQueries) -> TrainingRows:
        return TrainingRows(
            ids=windows.windows(queries.texts),
            targets=labels.targets(queries.values),
            weights=queries.weights,
        )

    with quiet_transformers():
        tuned = fine_tune(
            model,
            training=rows_of(training),
            validation=rows_of(validation),
            row_losses=label_losses(label_ids),
            pad_id=0,
            settings=settings.fine_tuning(),
            device=target,
            fit=_what_decides(settings, template, base.revision),
            checkpoint=checkpoint,
            on_step=on_step,
        )
        merge_adapters(model).to(dtype=stored_dtype).save_pretrained(folder)
    classifier = CausalClassifier(
        folder=ModelFolder(folder, keep=place),
        labels=labels,
        template=template,
        length=settings.length,
        device=device,
    )
    return CausalFit(classifier=classifier, tuned=tuned, revision=base.revision)


class _Workspace:
    """A folder that is removed when nobody refers to it any more."""

    def __init__(self, checkpoint: Path | None) -> None:
        """Make it beside the checkpoints, where there is room for such files."""
        if checkpoint is not None:
            checkpoint.mkdir(parents=True, exist_ok=True)
        self.folder = Path(mkdtemp(prefix="result-", dir=checkpoint))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)


def _labelled_model(
    base: Path, folder: Path, settings: CausalSettings, device: str | None
) -> tuple[Any, tuple[int, ...]]:
    """Load the base model, give it the labels, and keep its tokenizer in ``folder``."""
    # Full fine-tuning needs float32 weights to add small steps to; adapters have their own.
    model = load_causal_lm(
        base,
        device=device,
        feature=FEATURE,
        attention=settings.attention,
        dtype="float32" if settings.tune == "full" else None,
    )
    n_positions = getattr(model.config, "max_position_embeddings", None)
    if n_positions and settings.length > n_positions:
        raise ConfigError(
            f"length {settings.length!r} is more than the base model reads, {n_positions}; "
            f"--set length={n_positions} or less"
        )
    tokenizer = load_tokenizer(base)
    label_ids = add_label_tokens(model, tokenizer, settings.label_set().tokens)
    tokenizer.save_pretrained(folder)
    if settings.gradient_checkpointing:
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


def _stored_dtype(base: Path) -> "torch.dtype":
    """Return the type of the base model's weights, which the result is stored in too."""
    import torch
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(base, local_files_only=True).dtype
    return found if isinstance(found, torch.dtype) else torch.float32


def _what_decides(
    settings: CausalSettings, template: Template, revision: str
) -> dict[str, Any]:
    """Return what a checkpoint depends on beside the Trainer's settings and the rows."""
    names = ("base", "tune", "labels", "lora_rank", "lora_alpha", "lora_dropout", "length")
    return {
        **{name: getattr(settings, name) for name in names},
        "revision": revision,
        "template": [template.prefix, template.suffix],
    }
