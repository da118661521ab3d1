"""The causal LM router, against a slow oracle: the whole model, one prompt at a time."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.errors import ArtifactError, ConfigError, MissingExtraError
from routecast.routers.causal import BoundCausal, CausalClassifier, rebuild
from routecast.routers.causal_labels import LETTERS, WIN
from routecast.routers.causal_loading import load_causal_lm, load_tokenizer
from routecast.routers.causal_prefix import SharedPrefix
from routecast.routers.causal_template import Template
from routecast.routers.model_folder import ModelFolder
from routecast.routers.stored_model import StoredModel
from routecast.types import FloatArray

MakeCausalLM = Callable[..., Path]
TEMPLATE = Template("Whose answer is better?\nQuery: ", "\nAnswer: ")
PROMPTS = ["prove number 1", "name", "", "a much longer prompt about rice and maps " * 6, "prove"]


@pytest.fixture
def classifier(make_causal_lm: MakeCausalLM) -> CausalClassifier:
    """Letters are single tokens of any vocabulary, so nothing need be added."""
    return of(make_causal_lm())


def of(folder: Path, *, length: int = 128) -> CausalClassifier:
    return CausalClassifier(ModelFolder(folder), LETTERS, TEMPLATE, length=length, device="cpu")


def bound(classifier: CausalClassifier) -> BoundCausal:
    embedder: Any = None
    return classifier.bind(strong=("big",), weak=("small",), embedder=embedder)


def slow_logits(folder: Path, prompts: Sequence[str], *, n_query: int) -> FloatArray:
    """Run the whole model on each prompt alone: no cache, no padding, all of the vocabulary."""
    import torch

    model = load_causal_lm(folder, device="cpu", feature="test")
    tokenizer = load_tokenizer(folder)
    rows = []
    for prompt in prompts:
        start, query, end = (
            tokenizer(text, add_special_tokens=False).input_ids
            for text in (TEMPLATE.prefix, prompt, TEMPLATE.suffix)
        )
        if len(query) > n_query:
            n_tail = n_query // 2
            query = query[: n_query - n_tail] + query[-n_tail:]
        ids = torch.tensor([[0, *start, *query, *end]])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, -1]
        rows.append([float(logits[tokenizer.convert_tokens_to_ids(one)]) for one in "ABC"])
    return np.array(rows)


@pytest.mark.parametrize(
    ("kind", "tied", "is_shared"),
    [("llama", True, True), ("llama", False, True), ("gpt2", True, True), ("gemma2", True, False)],
)
def test_cache_batches_and_label_rows_give_what_the_whole_model_gives(
    kind: str, tied: bool, is_shared: bool, make_causal_lm: MakeCausalLM
) -> None:
    folder = make_causal_lm(kind, tied=tied)
    router = bound(of(folder))
    assert router._prefix.is_shared == is_shared  # gemma2 has windows: read anew, same result
    n_query = router._windows.n_text_tokens
    expected = slow_logits(folder, PROMPTS, n_query=n_query)
    assert expected.std() > 0.1
    np.testing.assert_allclose(router.label_logits(PROMPTS), expected, atol=1e-4)
    np.testing.assert_allclose(
        router.win_probabilities(PROMPTS), LETTERS.win_probabilities(expected), atol=1e-5
    )


def test_order_and_repetition_do_not_matter(classifier: CausalClassifier) -> None:
    router = bound(classifier)
    scores = router.win_probabilities(PROMPTS)
    order = [3, 1, 1, 4, 0, 2, 3]
    np.testing.assert_allclose(
        router.win_probabilities([PROMPTS[row] for row in order]), scores[order], atol=1e-6
    )
    assert router.win_probabilities([]).shape == (0,)


def test_of_a_long_prompt_head_and_tail_are_read_and_the_rest_is_counted(
    make_causal_lm: MakeCausalLM,
) -> None:
    router = bound(of(make_causal_lm(), length=64))
    n_query = router._windows.n_text_tokens
    n_tail = n_query // 2
    head, tail = "a" * (n_query - n_tail), "b" * n_tail  # a letter is a token here
    assert router.cut(head + tail) == type(router.cut(""))(n_characters=0, n_tokens=0)
    long = head + "c" * 100 + tail
    assert (router.cut(long).n_tokens, router.cut(long).n_characters) == (100, 0)
    scores = router.win_probabilities([head + tail, long, long[1:]])
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert scores[2] != pytest.approx(scores[0], abs=1e-6)


@pytest.mark.parametrize("text", ["", " ", "\ud800", "\x00", "x" * 300_000, "<s>", "😀"], ids=ascii)
def test_any_text_has_a_score(text: str, classifier: CausalClassifier) -> None:
    (score,) = bound(classifier).win_probabilities([text])
    assert 0 <= score <= 1


def test_a_batch_that_does_not_fit_is_scored_in_halves_and_that_is_said(
    classifier: CausalClassifier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    router = bound(classifier)
    prompts = [f"name number {number}" for number in range(10)]
    expected = router.win_probabilities(prompts)
    read = SharedPrefix.read

    def narrow(self: SharedPrefix, model: Any, rows: Sequence[Sequence[int]]) -> Any:  # noqa: ANN401
        if len(rows) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return read(self, model, rows)

    monkeypatch.setattr(SharedPrefix, "read", narrow)
    np.testing.assert_allclose(router.win_probabilities(prompts), expected, atol=1e-6)
    assert "out of memory scoring 10 rows at once; going on with 5" in caplog.text


def test_without_torch_the_pip_command_is_named(
    classifier: CausalClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'routecast\[torch\]'") as caught:
        bound(classifier)
    assert "the router 'causal'" in str(caught.value)


def test_a_special_token_in_a_prompt_is_plain_text(classifier: CausalClassifier) -> None:
    router = bound(classifier)
    assert router._windows.text_windows(["</s>"])[0] != [1]
    assert len(router._windows.text_windows(["</s>"])[0]) > 1


def test_what_is_stored_gives_the_same_router(make_causal_lm: MakeCausalLM) -> None:
    classifier = replace(of(make_causal_lm()), labels=LETTERS)
    settings = {**classifier.record(), "length": 128, "labels": "letters"}
    stored = StoredModel(
        settings=settings, strong=("a",), weak=("b",), model_folder=classifier.folder, device="cpu"
    )
    found = rebuild(stored).win_probabilities(PROMPTS)
    np.testing.assert_array_equal(found, bound(classifier).win_probabilities(PROMPTS))
    for name in ("instruction", "length", "labels"):
        lacking = {key: value for key, value in settings.items() if key != name}
        with pytest.raises(ArtifactError, match=f"unusable: KeyError.*{name}"):
            rebuild(replace(stored, settings=lacking))
    with pytest.raises(ArtifactError, match="lacks 'model/'"):
        rebuild(replace(stored, model_folder=None))


def test_a_vocabulary_without_the_labels_is_refused(make_causal_lm: MakeCausalLM) -> None:
    with pytest.raises(ArtifactError, match=r"has no tokens \['\[\[strong\]\]'"):
        bound(replace(of(make_causal_lm()), labels=WIN))


def test_a_length_without_room_for_a_query_is_refused(make_causal_lm: MakeCausalLM) -> None:
    with pytest.raises(ConfigError, match="length 20 leaves 0 tokens for the query"):
        bound(of(make_causal_lm(), length=20))


def test_a_folder_that_is_no_causal_lm_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ArtifactError, match="cannot load the model"):
        bound(of(tmp_path))
