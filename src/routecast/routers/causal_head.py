"""The rows of a causal LM's output layer that belong to the labels."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from routecast.errors import ArtifactError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def find_label_ids(tokenizer: "Tokenizer", tokens: Sequence[str]) -> tuple[int, ...]:
    """Return the labels' ids.

    Raises:
        ArtifactError: If the vocabulary does not hold each as a token of its own.
    """
    ids = [tokenizer.token_to_id(token) for token in tokens]
    missing = [token for token, place in zip(tokens, ids, strict=True) if place is None]
    if missing:
        raise ArtifactError(
            f"the model's vocabulary has no tokens {missing!r}, which are its labels; train it "
            "again, or give the labels that it was trained with"
        )
    return tuple(place for place in ids if place is not None)


def keep_label_rows(
    model: Any,  # noqa: ANN401 (a PreTrainedModel, whose class torch has)
    label_ids: Sequence[int],
) -> tuple[int, ...]:
    """Leave only the labels' rows in a model's output layer, so that no other logit is computed.

    The model's own scaling of logits, where it has one, stays in place. A model whose output layer
    is no plain linear one is left as it is.

    Returns:
        Where the labels' logits are in the output from now on.
    """
    import torch

    head = model.get_output_embeddings()
    if type(head) is not torch.nn.Linear:
        return tuple(label_ids)
    rows = torch.nn.Linear(
        head.in_features,
        len(label_ids),
        bias=head.bias is not None,
        device=head.weight.device,
        dtype=head.weight.dtype,
    )
    with torch.no_grad():
        rows.weight.copy_(head.weight[list(label_ids)])
        if head.bias is not None:
            rows.bias.copy_(head.bias[list(label_ids)])
    model.set_output_embeddings(rows)
    return tuple(range(len(label_ids)))
