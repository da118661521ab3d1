"""Fine-tuning a transformer by the Trainer of Hugging Face, on soft targets.

What the Trainer has, it does: optimiser, schedule, mixed precision, several processes, checkpoints.
What it lacks is in `routecast.train.pair_trainer`: the loss, validation by our own log loss, and a
batch that does not fit into memory.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from routecast.data.durable import temporary_folder
from routecast.embed.quiet_loading import quiet_loading
from routecast.errors import ConfigError, MissingExtraError
from routecast.train.registry import Step
from routecast.train.training_rows import FineTuning, RowLosses, TrainingRows

if TYPE_CHECKING:
    import torch
    from transformers import TrainingArguments

_FIT_NAME = "fit.json"
_STATE_NAME = "trainer_state.json"


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """How a fit went; the model itself holds the weights that were kept.

    Attributes:
        best_step: Step after which the kept weights were saved; the last without validation rows.
        n_steps: Steps that were taken.
        validation_losses: Log loss of the validation rows, in nats, by step; empty without any.
        micro_batch: Rows that fitted into memory at once.
        weights: The kept weights by name where the model holds only a part of each, because they
            are spread over several processes (FSDP); None where it holds them.
    """

    best_step: int
    n_steps: int
    validation_losses: Mapping[int, float]
    micro_batch: int
    weights: Mapping[str, "torch.Tensor"] | None = None

    @property
    def validation_loss(self) -> float:
        """Of the kept weights; NaN without validation rows."""
        return self.validation_losses.get(self.best_step, float("nan"))


def fine_tune(
    model: Any,  # noqa: ANN401 (a PreTrainedModel or a PeftModel, which have no class in common)
    *,
    training: TrainingRows,
    validation: TrainingRows,
    row_losses: RowLosses,
    pad_id: int,
    settings: FineTuning,
    device: "torch.device",
    fit: Mapping[str, Any],
    checkpoint: Path | None = None,
    on_step: Step | None = None,
) -> FineTuned:
    """Train a model in place and keep the weights with the lowest validation loss.

    A fit that was stopped goes on from its last checkpoint exactly: on a CPU the weights are those
    of a fit that was not.

    Args:
        model: Its parameters that require a gradient are trained.
        training: At least one row.
        validation: To stop and to choose by; may be empty, then the last weights are kept.
        row_losses: The loss of each row.
        pad_id: Token id that fills up shorter rows.
        settings: How.
        device: Where; the model is moved there.
        fit: What else decides the result (base model, how it is tuned), so that a checkpoint of
            another fit is refused.
        checkpoint: A folder for checkpoints; made if it is not there, gone on from if it is. None
            for none.
        on_step: Called after each step.

    Raises:
        ConfigError: If the checkpoint belongs to another fit (another ``micro_batch`` makes none,
            so that a fit that ran out of memory can go on in smaller parts), one row does not fit
            into memory, or the loss is not finite.
        MissingExtraError: If torch, transformers or accelerate is not installed.
        SystemExit: In every process but the first, where there are several: their work is done.
    """
    scaled = replace(training, weights=training.weights / training.weights.mean())
    with _folder(checkpoint) as folder, seeded(settings.seed):
        fingerprint = {
            **{name: v for name, v in asdict(settings).items() if name != "micro_batch"},
            **fit,
            "training": training.digest(),
            "validation": validation.digest(),
        }
        _claim(folder, json.loads(json.dumps(fingerprint)))
        trainer = _trainer(
            model,
            training=scaled,
            validation=validation,
            row_losses=row_losses,
            pad_id=pad_id,
            arguments=_arguments(settings, folder, device, validates=len(validation)),
            settings=settings,
            on_step=on_step,
        )
        with quiet_loading():
            trainer.go_on_from(_last_checkpoint(folder))
            weights = trainer.gather_weights()
        if not trainer.is_world_process_zero():
            raise SystemExit(0)  # what comes next, calibrating and saving, is for one process
        state = trainer.state
        return FineTuned(
            best_step=state.best_global_step or state.global_step,
            n_steps=state.global_step,
            validation_losses=trainer.validation_losses(),
            micro_batch=trainer.micro_batch,
            weights=weights,
        )


def _trainer(model: Any, **options: Any) -> Any:  # noqa: ANN401 (a class that needs torch)
    """Import late: the module of the trainer needs the extra."""
    try:
        from routecast.train.pair_trainer import PairTrainer
    except ModuleNotFoundError as error:
        if error.name not in ("accelerate", "torch", "transformers"):
            raise
        raise MissingExtraError("training a transformer router", "torch") from None
    return PairTrainer(model, **options)


def _arguments(
    settings: FineTuning,
    folder: Path,
    device: "torch.device",
    *,
    validates: int,
) -> "TrainingArguments":
    """Translate our settings; everything that would print, report or upload is off."""
    import torch
    from transformers import TrainingArguments

    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.n_steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        lr_scheduler_type="linear",
        warmup_steps=round(settings.warmup * settings.n_steps),
        optim="adamw_torch",
        eval_strategy="steps" if validates else "no",
        eval_steps=settings.eval_steps,
        save_strategy="steps",
        save_steps=settings.eval_steps,
        save_total_limit=2,
        load_best_model_at_end=bool(validates),
        metric_for_best_model="eval_loss" if validates else None,
        greater_is_better=False if validates else None,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
        bf16=device.type == "cuda" and torch.cuda.is_bf16_supported(),
        use_cpu=device.type == "cpu",
        remove_unused_columns=False,
        dataloader_pin_memory=device.type == "cuda",
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs are for several processes
    if settings.batch % arguments.world_size:
        raise ConfigError(
            f"batch {settings.batch!r} cannot be split evenly over {arguments.world_size} processes"
        )
    arguments.per_device_train_batch_size = settings.batch // arguments.world_size
    return arguments


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint; its state is written last."""
    found = {
        int(path.parent.name.rpartition("-")[2]): path.parent
        for path in folder.glob(f"checkpoint-*/{_STATE_NAME}")
        if path.stat().st_size
    }
    return found[max(found)] if found else None


def _claim(folder: Path, fingerprint: dict[str, Any]) -> None:
    """Note in the folder what is fitted there, or refuse to go on with something else."""
    path = folder / _FIT_NAME
    if not path.is_file():
        fresh = path.with_suffix(f".{os.getpid()}")  # several processes may be at it
        fresh.write_text(json.dumps(fingerprint, indent=1), encoding="utf-8")
        fresh.replace(path)
        return
    then = json.loads(path.read_text(encoding="utf-8"))
    changed = [
        f"{name} was {then.get(name)!r} and is {fingerprint.get(name)!r}"
        for name in sorted(then.keys() | fingerprint.keys())
        if then.get(name) != fingerprint.get(name)
    ]
    if changed:
        raise ConfigError(
            f"the checkpoint {str(folder)!r} belongs to another fit: {'; '.join(changed)}; go on "
            "with the same, or start anew without --resume"
        )


@contextmanager
def _folder(checkpoint: Path | None) -> Iterator[Path]:
    if checkpoint is None:
        workspace, remove = temporary_folder()
        try:
            yield workspace
        finally:
            remove()
        return
    checkpoint.mkdir(parents=True, exist_ok=True)
    yield checkpoint


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed everything that the Trainer seeds, and leave the caller's random state as it was.

    For building a model too, whose new weights are random.
    """
    import random

    import torch

    kept = random.getstate(), np.random.get_state()  # noqa: NPY002 (the Trainer seeds these)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(kept[0])
            np.random.set_state(kept[1])  # noqa: NPY002
