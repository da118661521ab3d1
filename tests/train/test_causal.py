"""Fine-tuning a causal LM: it learns, its adapters merge exactly, a stopped fit goes on."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.errors import ArtifactError, ConfigError
from routecast.routers.causal import BoundCausal
from routecast.routers.causal_labels import WIN
from routecast.routers.causal_loading import load_causal_lm, load_tokenizer
from routecast.routers.causal_prompts import open_prompt_windows
from routecast.train.causal import CausalFit, LabelledQueries, fit_causal
from routecast.train.causal_lora import add_adapters, merge_adapters
from routecast.train.causal_loss import label_losses
from routecast.train.causal_settings import CausalSettings
from routecast.train.causal_tokens import add_label_tokens
from routecast.types import FloatArray

pytestmark = pytest.mark.slow

MakeCausalLM = Callable[..., Path]


@pytest.fixture
def template(tmp_path: Path) -> str:
    """A short one, to be quick."""
    path = tmp_path / "template.txt"
    path.write_text("Q: {query}\nA:")
    return str(path)


def queries(n: int, *, start: int = 0) -> LabelledQueries:
    """Prompts with "prove" need the strong model."""
    numbers = range(start, start + n)
    texts = [f"{'prove' if number % 2 else 'name'} number {number}" for number in numbers]
    values = np.array([float(number % 2) for number in numbers])
    return LabelledQueries(texts=texts, values=values, weights=np.ones(n))


def settings_for(folder: Path, template: str, **changes: object) -> CausalSettings:
    changed: Any = {
        "base": str(folder), "template": template, "length": 48, "n_steps": 40, "batch": 8,
        "learning_rate": 5e-3, "eval_steps": 20, "patience": 0, **changes,
    }  # fmt: skip
    return CausalSettings(**changed)


def fitted(settings: CausalSettings, **options: Any) -> CausalFit:  # noqa: ANN401
    return fit_causal(
        queries(64), validation=queries(16, start=64), settings=settings, device="cpu", **options
    )


def scores_of(fit: CausalFit, texts: Sequence[str]) -> FloatArray:
    embedder: Any = None
    bound: BoundCausal = fit.classifier.bind(strong=("a",), weak=("b",), embedder=embedder)
    return bound.win_probabilities(texts)


@pytest.mark.parametrize(
    ("tune", "rate", "checkpointing", "tied"),
    [("full", 1e-2, False, True), ("lora", 2e-2, True, True), ("lora", 2e-2, False, False)],
)
def test_it_learns_what_decides(
    tied: bool, tune: str, rate: float, checkpointing: bool, make_causal_lm: MakeCausalLM,
    template: str,
) -> None:  # fmt: skip
    settings = settings_for(
        make_causal_lm(tied=tied), template, tune=tune, learning_rate=rate, n_steps=80,
        eval_steps=40, gradient_checkpointing=checkpointing, lora_rank=8,
    )  # fmt: skip
    fit = fitted(settings)
    scores = scores_of(fit, queries(20, start=200).texts)
    assert scores[1::2].mean() > scores[::2].mean() + 0.3
    assert fit.tuned.validation_loss == min(fit.tuned.validation_losses.values())
    names = {path.name for path in fit.classifier.folder.path.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not any("adapter" in name for name in names)  # merged: loaded without peft


@pytest.mark.parametrize(
    ("kind", "tied", "n_layers"),
    [("llama", True, 7), ("llama", False, 7), ("gpt2", True, 4), ("gemma2", True, 7)],
)
def test_merged_adapters_score_as_unmerged_ones_and_saved_as_in_memory(
    kind: str, tied: bool, n_layers: int, make_causal_lm: MakeCausalLM, tmp_path: Path
) -> None:
    import torch

    from routecast.routers.causal import BoundCausal
    from routecast.routers.causal_template import Template

    base = make_causal_lm(kind, tied=tied)
    model, tokenizer = load_causal_lm(base, device="cpu", feature="test"), load_tokenizer(base)
    ids = add_label_tokens(model, tokenizer, WIN.tokens)
    rows = torch.tensor([[0, 5, 9, 40], [0, 12, 80, 33]])
    with torch.no_grad():
        plain = model(input_ids=rows).logits.numpy()
    wrapped = add_adapters(model, ids, rank=4, alpha=8, dropout=0.0)
    trained = {name for name, one in wrapped.named_parameters() if one.requires_grad}
    assert sum("trainable_tokens" in name for name in trained) == (1 if tied else 2)
    assert sum("lora_" in name for name in trained) == 2 * n_layers * 2  # two blocks, A and B
    with torch.no_grad():
        for one in wrapped.parameters():
            if one.requires_grad:
                one.add_(torch.randn(one.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    with torch.no_grad():
        apart = wrapped(input_ids=rows).logits.numpy()
    merged = merge_adapters(wrapped).eval()
    with torch.no_grad():
        together = merged(input_ids=rows).logits.numpy()
    np.testing.assert_allclose(together, apart, atol=1e-5)
    assert np.abs(together - plain).max() > 0.01
    merged.save_pretrained(tmp_path / "merged")
    tokenizer.save_pretrained(tmp_path / "merged")
    windows = open_prompt_windows(tmp_path / "merged", Template("Q: ", "A:"), length=64)
    loaded = load_causal_lm(tmp_path / "merged", device="cpu", feature="test")
    texts = queries(12).texts
    np.testing.assert_allclose(
        BoundCausal(loaded, windows, WIN).win_probabilities(texts),
        BoundCausal(merged, windows, WIN).win_probabilities(texts),
        atol=1e-5,
    )


def test_only_the_rows_of_labels_change_among_the_embeddings_of_lora(
    make_causal_lm: MakeCausalLM, template: str
) -> None:
    base = make_causal_lm(tied=False)
    fit = fitted(settings_for(base, template, tune="lora", n_steps=5, eval_steps=5))
    before = load_causal_lm(base, device="cpu", feature="test")
    after = load_causal_lm(fit.classifier.folder.path, device="cpu", feature="test")
    for name in ("get_input_embeddings", "get_output_embeddings"):
        old = getattr(before, name)().weight.detach()
        new = getattr(after, name)().weight.detach()
        np.testing.assert_array_equal(new[: len(old)], old)
    rows = after.get_output_embeddings().weight.detach()[len(old) :]
    assert float((rows - rows[0]).abs().max()) > 1e-4  # they began as one mean


@pytest.mark.parametrize("tune", ["full", "lora"])
def test_a_stopped_fit_goes_on_to_the_same_weights(
    tune: str, make_causal_lm: MakeCausalLM, template: str, tmp_path: Path
) -> None:
    settings = settings_for(
        make_causal_lm(), template, tune=tune, n_steps=12, eval_steps=4, learning_rate=1e-2
    )
    whole = fitted(settings, checkpoint=tmp_path / "whole")

    def stop(step: int, *_: object) -> None:
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(settings, checkpoint=tmp_path / "stopped", on_step=stop)
    resumed = fitted(settings, checkpoint=tmp_path / "stopped")
    texts = queries(10).texts
    np.testing.assert_allclose(scores_of(resumed, texts), scores_of(whole, texts), atol=1e-6)
    with pytest.raises(ConfigError, match="belongs to another fit: learning_rate was"):
        fitted(replace(settings, learning_rate=1e-3), checkpoint=tmp_path / "stopped")


def test_a_micro_batch_does_not_change_the_fit(make_causal_lm: MakeCausalLM, template: str) -> None:
    settings = settings_for(make_causal_lm(), template, n_steps=5, eval_steps=5)
    texts = queries(10).texts
    np.testing.assert_allclose(
        scores_of(fitted(replace(settings, micro_batch=3)), texts),
        scores_of(fitted(settings), texts),
        atol=1e-4,
    )


def test_a_batch_that_does_not_fit_is_halved_and_said(
    make_causal_lm: MakeCausalLM, template: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    settings = settings_for(make_causal_lm(), template, n_steps=4, eval_steps=4)
    texts = queries(10).texts
    expected = scores_of(fitted(settings), texts)

    def narrow(ids: object) -> Any:  # noqa: ANN401
        losses = label_losses(ids)  # type: ignore[arg-type]

        def row_losses(model: Any, batch: Any) -> Any:  # noqa: ANN401
            if len(batch["input_ids"]) > 4:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            return losses(model, batch)

        return row_losses

    monkeypatch.setattr("routecast.train.causal.label_losses", narrow)
    fit = fitted(settings)
    assert fit.tuned.micro_batch == 4
    assert "out of memory training on 8 rows at once; going on with 4" in caplog.text
    np.testing.assert_allclose(scores_of(fit, texts), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": ""}, r"needs a model to start from: --set base=ID_OR_FOLDER"),
        ({"base": "./nowhere"}, "there is no folder './nowhere'"),
        ({"tune": "half"}, r"tune 'half'; choose one of \['full', 'lora'\]"),
        ({"labels": "letters"}, r"labels 'letters'; choose one of \['win', 'grade'\]"),
        ({"attention": "fast"}, "attention 'fast'"),
        ({"lora_rank": 0}, "lora_rank 0"),
        ({"n_steps": 0}, "n_steps 0 must be 1 or more"),
        ({"good_grade": 7, "labels": "grade"}, "good_grade 7"),
        ({"template": "none.txt"}, "cannot be read"),
        ({"length": 9999}, "length 9999 is more than the 1024 tokens"),
        ({"length": 12}, "tokens for the query beside the instruction"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    changes: dict[str, Any], message: str, make_causal_lm: MakeCausalLM, template: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        fitted(settings_for(make_causal_lm(), **{"template": template, **changes}))


def test_a_base_model_with_code_of_its_own_is_refused(
    make_causal_lm: MakeCausalLM, template: str, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "base"
    shutil.copytree(make_causal_lm(), folder)
    (folder / "modeling.py").write_text("raise SystemExit")
    with pytest.raises(ArtifactError, match="trust_remote_code is off"):
        fitted(settings_for(folder, template))


def test_the_papers_settings_are_the_defaults() -> None:
    settings = CausalSettings(base="x")
    assert (settings.n_steps, settings.batch, settings.length) == (2000, 8, 2048)
    assert settings.fine_tuning().learning_rate == pytest.approx(1e-6)
    assert replace(settings, tune="lora").fine_tuning().learning_rate == pytest.approx(1e-4)
