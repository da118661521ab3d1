"""Label tokens that are new to a causal LM's vocabulary."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from routecast.errors import ArtifactError

if TYPE_CHECKING:
    import torch


def add_label_tokens(
    model: Any,  # noqa: ANN401 (a PreTrainedModel, whose class torch has)
    tokenizer: Any,  # noqa: ANN401 (a tokenizer of transformers, which is untyped)
    tokens: Sequence[str],
) -> tuple[int, ...]:
    """Add labels to the vocabulary and give each new one the mean of the existing rows.

    A row of the mean makes every label equally likely at the start and about as likely as an
    average token. Input and output rows are set, which are the same where they are tied. Labels
    that the vocabulary has already, because the model was fine-tuned before, keep their rows.

    Args:
        model: Its embeddings grow in place where there is no spare row.
        tokenizer: Grows in place; the labels become special tokens, so that a prompt that spells
            one out cannot pass for it.
        tokens: The labels.

    Returns:
        The labels' ids, in order.

    Raises:
        ArtifactError: If the tokenizer does not take a label as one token.
    """
    import torch

    n_before = len(tokenizer)
    known = {token for token in tokens if token in tokenizer.get_vocab()}
    tokenizer.add_tokens(list(tokens), special_tokens=True)
    ids = tuple(int(tokenizer.convert_tokens_to_ids(token)) for token in tokens)
    if len(set(ids)) < len(tokens) or any(
        tokenizer.encode(token, add_special_tokens=False) != [place]
        for token, place in zip(tokens, ids, strict=True)
    ):
        raise ArtifactError(
            f"the base model's tokenizer does not take each of {list(tokens)!r} as one token; "
            "choose another base model"
        )
    fresh = [place for token, place in zip(tokens, ids, strict=True) if token not in known]
    n_rows = model.get_input_embeddings().weight.shape[0]
    if max(ids) >= n_rows:
        model.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    with torch.no_grad():
        for weight in _row_tensors(model):
            weight[fresh] = weight[:n_before].float().mean(dim=0).to(weight.dtype)
    return ids


def _row_tensors(model: Any) -> "list[torch.Tensor]":  # noqa: ANN401 (torch's)
    """Return what has a row per token: input and output embeddings once each, an output bias."""
    head = model.get_output_embeddings()
    found = [model.get_input_embeddings().weight, head.weight, getattr(head, "bias", None)]
    distinct = {id(tensor): tensor for tensor in found if tensor is not None}
    return list(distinct.values())
