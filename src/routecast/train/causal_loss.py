"""The loss at the label's place, and nowhere else."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from routecast.train.training_rows import RowLosses

if TYPE_CHECKING:
    import torch


def label_losses(label_ids: Sequence[int]) -> RowLosses:
    """Return the cross-entropy of the label that comes after each row's last token.

    It runs over the whole vocabulary, not over the labels alone: so the model also learns that a
    label comes here, and a server that returns only the most probable tokens returns the labels.
    No other place of a row has a loss. The output layer is computed for the rows' last places
    only: with the whole vocabulary at every place, 8 rows of 2,048 tokens of Llama 3 would take
    8 GB.

    Args:
        label_ids: Ids of the labels, in the order of the targets' columns.

    Returns:
        A function of the model and a batch with ``input_ids`` and ``attention_mask``, padded on
        the right, and ``targets``, shape (n_rows, n_labels). It gives nats, shape (n_rows,).
    """

    def row_losses(model: Any, batch: Mapping[str, "torch.Tensor"]) -> "torch.Tensor":  # noqa: ANN401 (torch's)
        import torch

        last = batch["attention_mask"].sum(dim=1) - 1
        places = torch.unique(last)
        logits = model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            logits_to_keep=places,
            use_cache=False,
        ).logits  # (n_rows, n_places, n_tokens)
        rows = torch.arange(len(last), device=logits.device)
        column = torch.searchsorted(places, last)
        chances = torch.log_softmax(logits[rows, column].float(), dim=-1)
        return -(batch["targets"] * chances[:, list(label_ids)]).sum(dim=1)

    return row_losses
