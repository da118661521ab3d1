"""A fine-tuned encoder as a family of the training pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, get_args

from routecast.embed.protocol import Embedder
from routecast.errors import ConfigError, DataError
from routecast.routers.bert import INT8_NAME, BertRouter, load_classifier, rebuild
from routecast.routers.bert_onnx import FEATURE
from routecast.routers.model_folder import ModelFolder, temporary_model_folder
from routecast.routers.pretrained import digest_of_folder, find_pretrained
from routecast.routers.stored_model import StoredModel
from routecast.routers.token_windows import TokenWindows, open_token_windows
from routecast.routers.torch_device import pick_device
from routecast.train.bert_int8 import add_int8
from routecast.train.bert_tuning import (
    check_length,
    merge_tuned,
    prepare_tuning,
    row_losses,
    save_classifier,
)
from routecast.train.hugging_face import fine_tune, seeded
from routecast.train.pair_labels import PromptLabels, labels_between_sides
from routecast.train.registry import Family, Fit, Lesson
from routecast.train.training_rows import FineTuning, TrainingRows
from routecast.types import AnyArray

Tune = Literal["full", "head", "lora"]

LEARNING_RATES: Final = {"full": 1e-5, "head": 1e-3, "lora": 2e-4}
"""By what is tuned. Full: Ong et al. (2024); the others train few weights, which must go far."""


@dataclass(frozen=True, kw_only=True)
class BertSettings:
    """How to fine-tune an encoder. The defaults are the paper's.

    Attributes:
        base: Folder of an encoder, or its id on the Hugging Face hub.
        tune: All weights (``full``), the classification head alone (``head``), or the head and
            low-rank changes of the attention and feed-forward layers (``lora``).
        length: Tokens that are read of a prompt, special ones included; of a longer one, head and
            tail.
        n_steps: See `FineTuning`, as are those down to ``patience``.
        batch: Rows of a step.
        micro_batch: Rows in memory at once.
        learning_rate: 0 for what suits ``tune``, see `LEARNING_RATES`.
        weight_decay: Of AdamW.
        warmup: Share of the steps.
        eval_steps: Steps between looks at validation data.
        patience: Looks without progress before the fit stops.
        lora_rank: Rank of the changes of ``tune=lora``.
        int8: Add an int8 copy for onnxruntime, three to four times faster on a CPU.
        seed: Of the head's first weights, of the order, of dropout.
    """

    base: str = "google-bert/bert-base-uncased"
    tune: str = "full"
    length: int = 512
    n_steps: int = 2000
    batch: int = 16
    micro_batch: int = 0
    learning_rate: float = 0.0
    weight_decay: float = 0.01
    warmup: float = 0.1
    eval_steps: int = 100
    patience: int = 5
    lora_rank: int = 8
    int8: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no fit can be made with."""
        if self.tune not in get_args(Tune):
            raise ConfigError(f"tune {self.tune!r}; choose one of {list(get_args(Tune))!r}")
        if not self.base.strip():
            raise ConfigError("base is empty; give a folder or an id on the Hugging Face hub")
        if self.length < 8:
            raise ConfigError(f"length {self.length!r} is too short for a prompt; give 8 or more")
        if self.lora_rank < 1:
            raise ConfigError(f"lora_rank {self.lora_rank!r} must be 1 or more")
        self.fine_tuning()

    def fine_tuning(self) -> FineTuning:
        """Return the part that every transformer router has."""
        given = {f.name: getattr(self, f.name) for f in fields(FineTuning)}
        return FineTuning(
            **{**given, "learning_rate": self.learning_rate or LEARNING_RATES[self.tune]}
        )


@dataclass(frozen=True, eq=False)
class TrainedBert:
    """A fine-tuned encoder, saved in a folder that lives as long as this.

    Attributes:
        folder: As an artifact holds it.
        length: Tokens that are read of a prompt.
        device: Where it was trained; None where it was left open.
    """

    folder: ModelFolder
    length: int
    device: str | None

    def bind(
        self,
        *,
        strong: Sequence[str],
        weak: Sequence[str],
        embedder: Embedder,  # noqa: ARG002 (texts need none)
    ) -> BertRouter:
        """Return the router of the one pair that it was trained on, read from the saved folder."""
        has_int8 = (self.folder.path / INT8_NAME).is_file()
        return rebuild(
            StoredModel(
                settings={"length": self.length},
                strong=tuple(strong),
                weak=tuple(weak),
                model_folder=self.folder,
                device="cpu" if has_int8 else self.device,
            )
        )

    def tensors(self) -> dict[str, AnyArray]:
        """Return nothing: all weights are in the folder."""
        return {}

    def model_folder(self) -> ModelFolder:
        """Return the folder that an artifact copies."""
        return self.folder


def fit_lesson(lesson: Lesson, settings: BertSettings) -> Fit:
    """Fine-tune on the labels between the sides; comparisons of others say nothing of this pair.

    Raises:
        ArtifactError: If the base model cannot be read.
        ConfigError: If there is no such base model or device, or a setting does not fit the model.
        DataError: If no training prompt has a label between the sides.
        MissingExtraError: If the extra is not installed.
    """
    device = pick_device(lesson.device, feature=FEATURE)
    base = find_pretrained(settings.base, feature=FEATURE)
    check_length(base.folder, settings.length)
    windows = open_token_windows(base.folder, max_tokens=settings.length)
    labels = labels_between_sides(lesson, lesson.training)
    if not len(labels):
        raise DataError("no training prompt has a label between the sides; label more prompts")
    with seeded(lesson.seed):
        model = prepare_tuning(
            load_classifier(base.folder), tune=settings.tune, lora_rank=settings.lora_rank
        )
    fitted = fine_tune(
        model,
        training=rows_of(lesson, labels, windows),
        validation=rows_of(lesson, labels_between_sides(lesson, lesson.validation), windows),
        row_losses=row_losses,
        pad_id=model.config.pad_token_id or 0,
        settings=replace(settings.fine_tuning(), seed=lesson.seed),
        device=device,
        fit={
            "family": "bert",
            "base": digest_of_folder(base.folder),
            "tune": settings.tune,
            "lora_rank": settings.lora_rank,
            "length": settings.length,
        },
        checkpoint=lesson.checkpoint,
        on_step=lesson.on_step,
    )
    folder = temporary_model_folder()
    save_classifier(merge_tuned(model), folder.path, tokenizer=base.folder / "tokenizer.json")
    record: dict[str, Any] = {
        "base": base.name,
        "base_revision": base.revision,
        "learning_rate": settings.fine_tuning().learning_rate,
        "device": str(device),
        "best_step": fitted.best_step,
        "n_steps_taken": fitted.n_steps,
        "micro_batch_used": fitted.micro_batch,
        "label_balance": labels.balance(),
    }
    if settings.int8:
        prompts = [lesson.prompts[row] for row in labels.rows.tolist()]
        record["int8_check"] = add_int8(
            folder.path, prompts, length=settings.length, seed=lesson.seed
        )
    return Fit(
        model=TrainedBert(folder, settings.length, lesson.device),
        validation_loss=fitted.validation_loss,
        record=record,
    )


def rows_of(lesson: Lesson, labels: PromptLabels, windows: TokenWindows) -> TrainingRows:
    """Turn labelled prompts into what the network reads."""
    return TrainingRows(
        ids=windows.windows([lesson.prompts[row] for row in labels.rows.tolist()]),
        targets=labels.wins,
        weights=labels.weights,
    )


FAMILY = Family(name="bert", settings=BertSettings, fit=fit_lesson, private=("base",))
