"""New label tokens, their first rows, and their loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.errors import ArtifactError
from routecast.routers.causal_labels import WIN
from routecast.routers.causal_loading import load_causal_lm, load_tokenizer
from routecast.train.causal_loss import label_losses
from routecast.train.causal_tokens import add_label_tokens

MakeCausalLM = Callable[..., Path]


def opened(folder: Path) -> tuple[Any, Any]:
    return load_causal_lm(folder, device="cpu", feature="test"), load_tokenizer(folder)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_the_mean_of_the_existing_ones(
    kind: str, tied: bool, make_causal_lm: MakeCausalLM
) -> None:
    model, tokenizer = opened(make_causal_lm(kind, tied=tied))
    n_before = len(tokenizer)
    before = [
        layer.weight.detach().clone()
        for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    ]
    ids = add_label_tokens(model, tokenizer, WIN.tokens)
    assert ids == (n_before, n_before + 1, n_before + 2)
    after = [model.get_input_embeddings().weight, model.get_output_embeddings().weight]
    assert (after[0] is after[1]) == tied
    for old, new in zip(before, after, strict=True):
        assert new.shape == (n_before + 3, 32)
        np.testing.assert_array_equal(new[:n_before].detach(), old)
        mean = old.mean(dim=0)
        for row in ids:
            np.testing.assert_allclose(new[row].detach(), mean, atol=1e-6)


def test_spare_rows_are_used_and_left_out_of_the_mean(make_causal_lm: MakeCausalLM) -> None:
    model, tokenizer = opened(make_causal_lm(n_spare=8))
    n_before, n_rows = len(tokenizer), model.get_input_embeddings().weight.shape[0]
    assert n_rows == n_before + 8
    old = model.get_input_embeddings().weight.detach().clone()
    add_label_tokens(model, tokenizer, WIN.tokens)
    new = model.get_input_embeddings().weight.detach()
    assert len(new) == n_rows
    np.testing.assert_allclose(new[n_before], old[:n_before].mean(dim=0), atol=1e-6)
    np.testing.assert_array_equal(new[n_before + 3 :], old[n_before + 3 :])


def test_labels_that_are_there_keep_their_rows(make_causal_lm: MakeCausalLM) -> None:
    model, tokenizer = opened(make_causal_lm())
    ids = add_label_tokens(model, tokenizer, WIN.tokens)
    weight = model.get_input_embeddings().weight.detach()
    weight[ids[0]] = 7.0
    assert add_label_tokens(model, tokenizer, WIN.tokens) == ids
    assert bool((weight[ids[0]] == 7.0).all())


def test_labels_begin_equally_likely(make_causal_lm: MakeCausalLM) -> None:
    import torch

    model, tokenizer = opened(make_causal_lm(tied=False))
    ids = list(add_label_tokens(model, tokenizer, WIN.tokens))
    logits = model(input_ids=torch.tensor([[0, 5, 9]])).logits[0, -1, ids]
    assert bool((logits.max() - logits.min() < 1e-5).all())


def test_a_tokenizer_that_splits_a_label_is_refused(make_causal_lm: MakeCausalLM) -> None:
    model, tokenizer = opened(make_causal_lm())
    with pytest.raises(ArtifactError, match="does not take each of"):
        add_label_tokens(model, tokenizer, ("[[strong]]", "[[strong]]"))


def test_the_loss_is_the_cross_entropy_of_the_label_after_the_last_token_only(
    make_causal_lm: MakeCausalLM,
) -> None:
    import torch

    model, tokenizer = opened(make_causal_lm())
    ids = add_label_tokens(model, tokenizer, WIN.tokens)
    rows = [[0, 5, 9, 11], [0, 7], [0, 5, 9, 8]]
    targets = np.array([[1.0, 0, 0], [0.4, 0.6, 0], [0, 0, 1]])
    batch = {
        "input_ids": torch.tensor([row + [3] * (4 - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (4 - len(row)) for row in rows]),
        "targets": torch.tensor(targets, dtype=torch.float32),
    }
    found = label_losses(ids)(model, batch).detach().numpy()
    expected = []
    for row, target in zip(rows, targets, strict=True):  # one by one, the whole vocabulary
        logits = model(input_ids=torch.tensor([row])).logits[0, -1].detach().double().numpy()
        chances = logits - np.log(np.exp(logits).sum())
        expected.append(-(target * chances[list(ids)]).sum())
    np.testing.assert_allclose(found, expected, rtol=1e-5)
