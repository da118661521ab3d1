"""The sentence embedder, on the real weights of all-MiniLM-L6-v2."""

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.embed.protocol import Cut, CutsTexts, EmbedderIdentity
from routecast.embed.registry import load_embedder
from routecast.embed.sentence import CHARS_PER_TOKEN, SentenceEmbedder, load_sentence
from routecast.errors import ArtifactError, ConfigError, MissingExtraError
from routecast.types import EmbeddingArray

TEXTS = [
    "That is a happy person",
    "That is a very happy person",
    "Prove that the square root of two is irrational, and say which axioms you used.",
    "x",
    "Wie spät ist es? 今何時ですか",
    "word " * 400,
]


def linked(folder: Path, target: Path, *, without: str = "") -> Path:
    """Put a model's files elsewhere, by links: the weights are 90 MB."""
    ignored = shutil.ignore_patterns(without) if without else None
    shutil.copytree(folder, target, copy_function=os.symlink, ignore=ignored)
    return target


def replaced(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def pooled_by_hand(folder: Path, texts: Sequence[str]) -> EmbeddingArray:
    """A slow oracle: one text at a time, the mean of the last layer, without padding."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModel.from_pretrained(str(folder)).eval()
    rows = []
    for text in texts:
        tokens = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            mean = model(**tokens).last_hidden_state[0].mean(dim=0)
        rows.append((mean / mean.norm()).numpy())
    return np.array(rows)


def test_vectors_are_those_of_mean_pooling_one_text_at_a_time(
    minilm: SentenceEmbedder, minilm_folder: Path
) -> None:
    expected = pooled_by_hand(minilm_folder, TEXTS)
    np.testing.assert_allclose(minilm.embed(TEXTS), expected, atol=2e-6)


def test_vectors_are_those_of_sentence_transformers(
    minilm: SentenceEmbedder, minilm_folder: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(minilm_folder), device="cpu", local_files_only=True)
    expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(minilm.embed(TEXTS), expected, atol=2e-6)


def test_the_model_cards_example_has_its_similarities(minilm: SentenceEmbedder) -> None:
    # The library's documentation for all-MiniLM-L6-v2 prints 0.6660 for the first pair and
    # 0.1046 for the second ("SentenceTransformer: usage").
    vectors = minilm.embed(
        [
            "The weather is lovely today.",
            "It's so sunny outside!",
            "He drove to the stadium.",
        ]
    )
    similarities = vectors[0] @ vectors[1:].T
    np.testing.assert_allclose(similarities, [0.6660, 0.1046], atol=5e-5)


@pytest.mark.parametrize(
    "text", ["", "   ", "\x00\x01", "\ud800", "a\udfffb", "\ud83d\ude00", "🙂" * 50, "é" * 99_999]
)
def test_any_text_has_a_unit_vector(minilm: SentenceEmbedder, text: str) -> None:
    vectors = minilm.embed([text])
    assert vectors.dtype == np.float32
    assert vectors.shape == (1, 384)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-6)


def test_joined_halves_of_a_surrogate_pair_are_the_character(minilm: SentenceEmbedder) -> None:
    joined, whole = minilm.embed(["caf\u00e9 \ud83d\ude00", "café 😀"])
    np.testing.assert_array_equal(joined, whole)


def test_no_text_gives_no_vector(minilm: SentenceEmbedder) -> None:
    assert minilm.embed([]).shape == (0, 384)


def test_equal_texts_are_embedded_once_and_order_does_not_matter(
    minilm: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = minilm._model
    seen: list[str] = []
    encode = model.encode

    def recorded(texts: list[str], **options: object) -> EmbeddingArray:
        seen.extend(texts)
        vectors: EmbeddingArray = encode(texts, **options)
        return vectors

    monkeypatch.setattr(model, "encode", recorded)
    twice = minilm.embed([*TEXTS, *reversed(TEXTS)])
    assert sorted(seen) == sorted(TEXTS)
    np.testing.assert_array_equal(twice[: len(TEXTS)], twice[len(TEXTS) :][::-1])


def test_the_same_call_gives_the_same_bits(minilm: SentenceEmbedder) -> None:
    np.testing.assert_array_equal(minilm.embed(TEXTS), minilm.embed(TEXTS))


def test_company_changes_a_vector_by_rounding_only(minilm: SentenceEmbedder) -> None:
    alone = np.concatenate([minilm.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(minilm.embed(TEXTS), alone, atol=2e-6)


def test_cut_counts_the_tokens_beyond_the_models_length(minilm: SentenceEmbedder) -> None:
    assert isinstance(minilm, CutsTexts)
    # 400 times one token, with [CLS] and [SEP]: 402 - 256 = 146 are left out.
    assert minilm.cut("word " * 400) == Cut(n_characters=0, n_tokens=146)
    assert not minilm.cut("word " * 254)
    assert not minilm.cut("")
    # 256 * 64 = 16,384 characters are read; a word of more than 100 is one unknown token.
    assert minilm.cut("a" * 20_000) == Cut(n_characters=20_000 - 256 * CHARS_PER_TOKEN, n_tokens=0)


def test_what_is_cut_does_not_change_the_vector(minilm: SentenceEmbedder) -> None:
    head = "word " * 300
    first, second = minilm.embed([head + "one thing", head + "quite another " * 9000])
    np.testing.assert_allclose(first, second, atol=2e-6)


def test_the_digest_is_that_of_the_files_wherever_they_lie(
    minilm: SentenceEmbedder, minilm_folder: Path, tmp_path: Path
) -> None:
    moved = linked(minilm_folder, tmp_path / "elsewhere")
    replaced(moved / "README.md", b"Another readme.")
    embedder = load_embedder(f"sentence:{moved}")
    assert embedder.identity.name == f"sentence:{moved}"
    assert embedder.identity.digest == minilm.identity.digest
    assert embedder.identity.gives_vectors_of(minilm.identity)

    settings = moved / "sentence_bert_config.json"
    replaced(settings, settings.read_bytes().replace(b"256", b"128"))
    shorter = load_sentence(str(moved))
    assert not shorter.identity.gives_vectors_of(minilm.identity)


def test_a_folder_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"there is no folder '\./missing'; give the folder of"):
        load_embedder("sentence:./missing")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no modules\.json, so it is no"):
        load_sentence(str(tmp_path))


def test_weights_that_would_be_unpickled_are_refused(tmp_path: Path, minilm_folder: Path) -> None:
    linked(minilm_folder, tmp_path / "m", without="*.safetensors")
    (tmp_path / "m" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ArtifactError, match="no weights in safetensors"):
        load_sentence(str(tmp_path / "m"))


def test_damaged_weights_are_refused(tmp_path: Path, minilm_folder: Path) -> None:
    weights = linked(minilm_folder, tmp_path / "m") / "model.safetensors"
    replaced(weights, weights.read_bytes()[:100_000])
    with pytest.raises(ArtifactError, match="cannot load the sentence-transformers model"):
        load_sentence(str(tmp_path / "m"))


def test_a_hub_model_that_is_out_of_reach_names_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match=r"cannot fetch the model 'nobody/nothing'.*FOLDER"):
        load_embedder("sentence:nobody/nothing")


def test_a_hub_model_is_its_folder_with_the_commit_as_revision(
    minilm: SentenceEmbedder, minilm_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetched = tmp_path / "0123abc"  # the hub's cache calls a folder by its commit
    fetched.symlink_to(minilm_folder, target_is_directory=True)
    asked: list[str] = []

    def fetch(model_id: str, **_: object) -> str:
        asked.append(model_id)
        return str(fetched)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    identity = load_embedder("sentence:somebody/minilm").identity
    assert asked == ["somebody/minilm"]
    assert (identity.name, identity.revision) == ("sentence:somebody/minilm", "0123abc")
    assert identity.gives_vectors_of(minilm.identity)


@pytest.mark.parametrize(
    ("module", "name"), [("sentence_transformers", "{folder}"), ("huggingface_hub", "a/b")]
)
def test_without_the_library_the_extra_is_named(
    minilm_folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'routecast\[torch\]'"):
        load_sentence(name.format(folder=minilm_folder))


def test_a_model_that_makes_nothing_of_a_text_still_gives_a_unit_vector() -> None:
    class Silent:
        max_seq_length = None

        def encode(self, texts: list[str], **_: object) -> EmbeddingArray:
            rows = {"zero": [0.0, 0.0], "nan": [np.nan, 1.0]}
            return np.array([rows.get(text, [3.0, 4.0]) for text in texts], dtype=np.float32)

    model: Any = Silent()
    identity = EmbedderIdentity(name="silent", revision="", dimension=2, digest="0")
    vectors = SentenceEmbedder(model, identity).embed(["zero", "nan", "good"])
    # The diagonal of two dimensions is (1, 1) / sqrt(2); (3, 4) / 5 is (.6, .8).
    np.testing.assert_allclose(vectors, [[0.5**0.5] * 2, [0.5**0.5] * 2, [0.6, 0.8]], atol=1e-7)
