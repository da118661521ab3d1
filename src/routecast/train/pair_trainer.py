"""The Trainer of Hugging Face with our loss. Importing this module needs the extra ``torch``."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from routecast.errors import ConfigError
from routecast.routers.length_batches import score_by_length
from routecast.routers.memory import is_out_of_memory, smaller_batch
from routecast.train.registry import Step
from routecast.train.training_rows import FineTuning, RowLosses, TrainingRows, training_order
from routecast.types import FloatArray, IntArray

Batch = dict[str, torch.Tensor]


class PairTrainer(Trainer):
    """Trains on soft targets, in an order that is fixed from the start."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 (a PreTrainedModel or a PeftModel)
        *,
        training: TrainingRows,
        validation: TrainingRows,
        row_losses: RowLosses,
        pad_id: int,
        arguments: TrainingArguments,
        settings: FineTuning,
        on_step: Step | None,
    ) -> None:
        """Prepare everything; `go_on_from` trains."""
        self._row_losses = row_losses
        self._validation = validation
        self._pad_id = pad_id
        self._patience = settings.patience
        self._last_loss = math.nan
        self.micro_batch = settings.micro_batch or settings.batch
        order = training_order(
            training.lengths, batch=settings.batch, n_steps=settings.n_steps, seed=settings.seed
        )
        self._ordered = _Ordered(training, order)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=self._ordered,
            eval_dataset=_Ordered(validation, np.arange(len(validation))),
            data_collator=self._collate,
            callbacks=[_Watch(self, on_step)],
        )
        self.remove_callback(PrinterCallback)  # it writes to stdout

    def go_on_from(self, checkpoint: Path | None) -> None:
        """Train from a checkpoint, or from the start; keep the best weights.

        Raises:
            ConfigError: If one row does not fit into memory, or the loss is not finite.
        """
        if self.is_fsdp_enabled and hasattr(self.model, "merge_and_unload"):
            raise ConfigError("tune='lora' does not go with FSDP; use one process, or tune=full")
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            self.state = state
            if state.global_step >= self.args.max_steps or self.has_lost_patience():
                self._load_from_checkpoint(state.best_model_checkpoint or str(checkpoint))
                return
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    def gather_weights(self) -> dict[str, torch.Tensor] | None:
        """Return all weights, whole, where they are spread over processes; None where not.

        Every process must call it; only the first gets them.
        """
        if not self.is_fsdp_enabled:
            return None
        weights: dict[str, torch.Tensor] = self.accelerator.get_state_dict(self.model_wrapped)
        return weights

    def validation_losses(self) -> dict[int, float]:
        """Return the validation loss by step."""
        return {
            int(entry["step"]): float(entry["eval_loss"])
            for entry in self.state.log_history
            if "eval_loss" in entry
        }

    def has_lost_patience(self) -> bool:
        """Tell whether the validation loss has not fallen for long enough."""
        losses = list(self.validation_losses().values())
        n_since_best = len(losses) - 1 - losses.index(min(losses)) if losses else 0
        return bool(self._patience) and n_since_best >= self._patience

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002 (the Trainer's)
    ) -> torch.Tensor:
        """Add up the gradients of one batch, part by part; in smaller parts where memory runs out.

        The step is the same however many parts it takes, so the batch that counts stays as set.
        """
        model.train()
        n_rows = len(inputs["input_ids"])
        while True:
            try:
                loss = self._add_gradients(model, inputs)
                break
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.args.world_size > 1:
                    raise ConfigError(
                        "out of memory in one of several processes; set a smaller micro_batch, "
                        f"below {min(self.micro_batch, n_rows)!r}"
                    ) from error
            model.zero_grad()
            self.micro_batch = smaller_batch(min(self.micro_batch, n_rows), what="training on")
        self._last_loss = float(loss)
        if not math.isfinite(self._last_loss):
            raise ConfigError(
                f"the loss is {self._last_loss!r} at step {self.state.global_step + 1}; set a "
                "smaller learning_rate"
            )
        return loss

    def _add_gradients(self, model: torch.nn.Module, inputs: Batch) -> torch.Tensor:
        n_rows = len(inputs["input_ids"])
        total = torch.zeros((), device=self.args.device)
        starts = range(0, n_rows, self.micro_batch)
        for start in starts:
            part = self._prepare_inputs(_part(inputs, start, start + self.micro_batch))
            is_last = start == starts[-1]
            with nullcontext() if is_last else self.accelerator.no_sync(model):
                with self.compute_loss_context_manager():
                    losses = self._row_losses(model, part)
                loss = (losses.float() * part["weights"]).sum() / n_rows
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def evaluate(self, *_: object, **__: object) -> dict[str, float]:
        """Return the weighted mean loss of the validation rows, in nats, as ``eval_loss``."""
        losses = self._validation_row_losses()
        metrics = {"eval_loss": float(np.average(losses, weights=self._validation.weights))}
        self.log(metrics)
        if self.has_lost_patience():
            self.control.should_training_stop = True
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _validation_row_losses(self) -> FloatArray:
        model, rows = self.model_wrapped, self._validation

        def losses_of(positions: IntArray) -> FloatArray:
            batch = self._collate([_row(rows, int(position)) for position in positions])
            with torch.no_grad(), self.compute_loss_context_manager():
                losses = self._row_losses(model, self._prepare_inputs(batch))
            return losses.float().cpu().numpy().astype(np.float64)

        model.eval()
        return score_by_length(rows.lengths.tolist(), losses_of, max_rows=64)

    def _collate(self, rows: list[Mapping[str, Any]]) -> Batch:
        longest = max(1, *(len(row["ids"]) for row in rows))
        ids = torch.full((len(rows), longest), self._pad_id)
        mask = torch.zeros((len(rows), longest), dtype=torch.long)
        for place, row in enumerate(rows):
            n_tokens = len(row["ids"])
            ids[place, :n_tokens] = torch.tensor(row["ids"], dtype=torch.long)
            mask[place, :n_tokens] = 1
        columns = {
            name: torch.tensor(np.stack([row[name] for row in rows]), dtype=torch.float32)
            for name in ("targets", "weights")
        }
        return {"input_ids": ids, "attention_mask": mask, **columns}

    def _get_train_sampler(self, train_dataset: object = None) -> SequentialSampler:  # noqa: ARG002 (as the Trainer calls it)
        return SequentialSampler(self._ordered)


class _Ordered(Dataset[Mapping[str, Any]]):
    """Rows in the order in which they are trained on."""

    def __init__(self, rows: TrainingRows, order: IntArray) -> None:
        self._rows, self._order = rows, order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> Mapping[str, Any]:
        return _row(self._rows, int(self._order[place]))


class _Watch(TrainerCallback):
    """Tells how far the fit is."""

    def __init__(self, trainer: PairTrainer, on_step: Step | None) -> None:
        self._trainer, self._on_step = trainer, on_step

    def on_step_end(self, args: object, state: TrainerState, *_: object, **__: object) -> None:  # noqa: ARG002 (as the Trainer calls it)
        if self._on_step is not None:
            losses = self._trainer.validation_losses()
            newest = losses[max(losses)] if losses else None
            self._on_step(state.global_step - 1, self._trainer._last_loss, newest)


def _row(rows: TrainingRows, position: int) -> Mapping[str, Any]:
    return {
        "ids": rows.ids[position],
        "targets": rows.targets[position],
        "weights": rows.weights[position],
    }


def _part(batch: Batch, start: int, stop: int) -> Batch:
    """Return some rows of a batch, without columns that are padding in all of them."""
    part = {name: column[start:stop] for name, column in batch.items()}
    longest = int(part["attention_mask"].sum(dim=1).max())
    for name in ("input_ids", "attention_mask"):
        part[name] = part[name][:, :longest]
    return part
