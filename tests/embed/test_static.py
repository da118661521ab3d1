"""The static embedder: every text has a finite unit vector, the one that its rule says."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from routecast.embed.protocol import Cut, EmbedderIdentity
from routecast.embed.static import MAX_BYTES, MAX_TOKENS, StaticEmbedder, load_static
from routecast.embed.static_folder import StaticFolder, read_static_folder
from routecast.types import AnyArray, FloatArray

SHIPPED = Path(__file__).parents[2] / "src" / "routecast" / "models" / "static"
FOLDER = read_static_folder(SHIPPED)
EMBEDDER = StaticEmbedder(FOLDER)
LIBRARY = Tokenizer.from_buffer(FOLDER.tokenizer_json)


def reference_vector(text: str) -> FloatArray:
    """The rule again, plainly: library tokenizer, mean in float64."""
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    content = text.encode()
    if len(content) > 12_288:
        head, tail = content[:6_144], content[-6_144:]
        text = head.decode(errors="ignore") + " " + tail.decode(errors="ignore")
    return mean_vector(LIBRARY.encode(text, add_special_tokens=False).ids)


def mean_vector(ids: list[int]) -> FloatArray:
    if len(ids) > 2_048:
        ids = ids[:1_024] + ids[-1_024:]
    mean = FOLDER.vectors[ids].astype(np.float64).sum(axis=0) / max(1, len(ids))
    length = float(np.linalg.norm(mean))
    return mean / length if length else FOLDER.nothing.astype(np.float64)


def check_text(text: str) -> None:
    embedding = EMBEDDER.embed([text])[0]
    assert np.isfinite(embedding).all()
    assert float(np.linalg.norm(embedding.astype(np.float64))) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(embedding, reference_vector(text), rtol=0, atol=1e-6)


def tiny_embedder() -> StaticEmbedder:
    """Three words in two dimensions: yes (3, 0), no (0, 4), and [UNK]."""
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "yes": 1, "no": 2},
        },
    }
    folder = StaticFolder(
        identity=EmbedderIdentity(name="tiny", revision="1", dimension=2, digest="0"),
        tokenizer_json=json.dumps(tokenizer).encode(),
        vectors=np.array([[0, 0], [3, 0], [0, 4]], dtype=np.float32),
        nothing=np.array([0.6, -0.8], dtype=np.float32),
    )
    return StaticEmbedder(folder)


def test_a_text_is_the_unit_sum_of_its_tokens() -> None:
    # yes + no = (3, 4), of length 5: (0.6, 0.8). yes + yes + no = (6, 4), of length sqrt(52).
    # Unknown words add (0, 0); without known words it is the vector of nothing.
    embeddings = tiny_embedder().embed(["Yes no", "yes, yes NO", "yes what no", "what", ""])
    expected = [[0.6, 0.8], [6 / 52**0.5, 4 / 52**0.5], [0.6, 0.8], [0.6, -0.8], [0.6, -0.8]]
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=1e-7)
    assert embeddings.dtype == np.float32


def test_no_texts_give_no_rows() -> None:
    assert EMBEDDER.embed([]).shape == (0, 256)


HARD_TEXTS = {
    "nothing": "",
    "white space": " \n\t\u3000" * 9,
    "unknown characters": "\U00012000\U00013000",
    "a special token": "[MASK]",
    "lone surrogates": "\ud800 a \udfff\udc00 b\ud83d",
    "a pair of surrogates": "\ud83d\ude00",
    "NUL and control characters": "a\x00b\x01\x7f\x85 c",
    "right to left": "שלום עולם, مرحبا بالعالم",
    "emoji": "👩‍💻👋🏽 done ✅",
    "code": "for (int i = 0; i < n; ++i) { a[i] <<= 1; }",
    "chinese": "什么是机器学习？",
}


@pytest.mark.parametrize("text", HARD_TEXTS.values(), ids=HARD_TEXTS.keys())
def test_hard_text_has_the_unit_vector_of_the_reference(text: str) -> None:
    check_text(text)


@pytest.mark.parametrize("text", ["", "  ", "\x00", "\ud800", "[MASK] [UNK]", "\U00012000"])
def test_texts_that_say_nothing_share_one_vector(text: str) -> None:
    np.testing.assert_array_equal(EMBEDDER.embed([text])[0], FOLDER.nothing)


@given(st.text(st.characters(exclude_categories=[]), max_size=300))
def test_any_text_has_the_unit_vector_of_the_reference(text: str) -> None:
    check_text(text)


@given(st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20))
def test_a_vector_does_not_depend_on_the_other_texts(others: list[str], text: str) -> None:
    np.testing.assert_array_equal(EMBEDDER.embed([*others, text])[-1], EMBEDDER.embed([text])[0])


@given(st.text(max_size=50))
def test_a_text_alone_has_the_vector_that_it_has_in_a_list(text: str) -> None:
    alone = EMBEDDER.embed_one(text)
    np.testing.assert_array_equal(alone, EMBEDDER.embed([text])[0])
    alone += 1.0  # it is the caller's own
    np.testing.assert_array_equal(EMBEDDER.embed_one(""), FOLDER.nothing)


@given(st.lists(st.sampled_from(["what", "is", "the", "capital", "of", "france", "why", "7", "?"])))
def test_the_order_of_words_changes_no_more_than_rounding(words: list[str]) -> None:
    forth, back = EMBEDDER.embed([" ".join(words), " ".join(reversed(words))])
    np.testing.assert_allclose(forth, back, rtol=0, atol=1e-6)


LONG_TEXTS = {
    "words": "the quick brown fox " * 50_000,
    "one word": "a" * 1_000_000,
    "marks": "!" * 1_000_000,
    "letters that are no words": " ".join("qzxjkv" * 8 for _ in range(20_000)),
    "chinese": "漢字仮名交" * 200_000,
    "hangul": "안녕하세요" * 200_000,
    "emoji": "😀" * 1_000_000,
    "accents": "é è " * 250_000,
    "arabic": "مرحبا " * 170_000,
    "lone surrogates": "\ud800" * 1_000_000,
    "NUL": "\x00" * 1_000_000,
    "white space": " " * 1_000_000,
    "special tokens": "[MASK]" * 166_667,
    "different rare characters": "".join(chr(0x4E00 + at % 20_000) for at in range(1_000_000)),
}


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS.keys())
def test_a_megabyte_is_embedded_by_the_rule_with_the_work_of_a_tenth_of_it(text: str) -> None:
    check_text(text)
    tenth = text[: len(text) // 10]
    EMBEDDER.embed([tenth])  # now the words of both are known
    assert n_calls(text) <= 1.1 * n_calls(tenth) + 10


def n_calls(text: str) -> int:
    """Return how many functions are called, Python's and C's, to embed a text."""
    counts = Counter[str]()
    sys.setprofile(lambda _, event, __: counts.update([event]))
    try:
        EMBEDDER.embed([text])
    finally:
        sys.setprofile(None)
    return counts["call"] + counts["c_call"]


def test_head_and_tail_decide_and_the_middle_does_not() -> None:
    filler = "lorem " * 1_024  # 6,144 characters
    whole = filler + "physics " * 9_999 + filler
    same, head, tail = filler + "cooking " * 9_999 + filler, "x" + whole[1:], whole[:-2] + "x "
    embeddings = EMBEDDER.embed([whole, same, head, tail])
    np.testing.assert_array_equal(embeddings[0], embeddings[1])
    assert not np.array_equal(embeddings[0], embeddings[2])
    assert not np.array_equal(embeddings[0], embeddings[3])


def test_a_character_on_the_edge_is_left_out_whole() -> None:
    # "é" takes two bytes. With "a" before, the edge at byte 6,144 falls inside the 3,072nd "é".
    text = "a" + "é" * 7_000
    assert EMBEDDER.cut(text).n_characters == 7_001 - (1 + 3_071) - 3_072
    check_text(text)


def test_what_is_cut_is_said() -> None:
    # 12,288 marks are read, a token each, and 2,048 of them pooled; 2 words are within bounds.
    assert EMBEDDER.cut("!" * 20_000) == Cut(n_characters=20_000 - 12_288, n_tokens=10_240)
    assert EMBEDDER.cut("!" * MAX_BYTES) == Cut(n_characters=0, n_tokens=MAX_BYTES - MAX_TOKENS)
    assert EMBEDDER.cut("!" * 2_048) == Cut(n_characters=0, n_tokens=0)
    assert EMBEDDER.cut("hello world") == Cut(n_characters=0, n_tokens=0)


def test_threads_share_an_embedder() -> None:
    texts = [f"question {row} about topic {row * row}" for row in range(300)]
    expected = StaticEmbedder(FOLDER).embed(texts)
    shared = StaticEmbedder(FOLDER)
    results: list[AnyArray] = []
    threads = [
        threading.Thread(target=lambda: results.append(shared.embed(texts))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(threads)
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_forgetting_changes_nothing() -> None:
    embedder = StaticEmbedder(FOLDER)
    first = embedder.embed(["The unaffable Johanson"])
    embedder.forget()
    np.testing.assert_array_equal(embedder.embed(["The unaffable Johanson"]), first)


def test_words_of_one_meaning_are_near() -> None:
    france, germany, code = EMBEDDER.embed(
        ["What is the capital of France?", "capital city of Germany", "sort a list in python"]
    )
    assert float(france @ germany) > float(france @ code) + 0.2


def test_load_static_reads_the_shipped_folder() -> None:
    assert load_static().identity == load_static(SHIPPED).identity == FOLDER.identity
    assert FOLDER.identity.name == "static"
    assert FOLDER.identity.dimension == FOLDER.vectors.shape[1] == 256


def test_shipped_files_are_below_9_megabytes_together() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= 9_000_000


def shared_texts(folder: Path) -> Iterator[str]:
    """Every prompt of the shared data, once, and the benchmarks' files line by line."""
    polars = pytest.importorskip("polars")
    seen: set[str] = set()
    for path in sorted((folder / "train").glob("*.parquet")):
        table = polars.read_parquet(path)
        for column in {"prompt", "query", "question"} & set(table.columns):
            seen.update(text for text in table[column] if text)
    for path in sorted((folder / "benchmarks").rglob("*.*")):
        seen.update(path.read_text(encoding="utf-8").splitlines())
    yield from sorted(seen)


def test_shared_prompts_have_the_ids_of_the_library_and_the_vectors_of_the_reference(
    shared_data: Path,
) -> None:
    # Every fifth; benchmarks/embed_speed.py checks all of them. Only counts and differences are
    # compared, since a failing assertion prints what it compares.
    texts = [text for text in shared_texts(shared_data) if len(text.encode()) <= MAX_BYTES][::5]
    n_texts = len(texts)
    assert n_texts > 10_000
    ids = [encoding.ids for encoding in LIBRARY.encode_batch(texts, add_special_tokens=False)]
    n_wrong = sum(EMBEDDER.token_ids(text) != ids[row] for row, text in enumerate(texts))
    assert n_wrong == 0
    reference = np.stack([mean_vector(row) for row in ids])
    difference = float(np.abs(EMBEDDER.embed(texts) - reference).max())
    assert difference < 1e-6


def test_long_shared_prompts_have_the_vectors_of_the_reference(shared_data: Path) -> None:
    texts = [text for text in shared_texts(shared_data) if len(text.encode()) > MAX_BYTES]
    n_texts = len(texts)
    assert n_texts > 2
    reference = np.stack([reference_vector(text) for text in texts])
    difference = float(np.abs(EMBEDDER.embed(texts) - reference).max())
    assert difference < 1e-6
