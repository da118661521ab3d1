"""The fast WordPiece gives the ids of the library's tokenizer, on anything."""

import json
import threading
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.embed import wordpiece
from routecast.embed.wordpiece import WordPieceTokenizer, without_surrogates

TOKENIZER_JSON = Path(str(files("routecast"))).joinpath("models", "static", "tokenizer.json")
SHARED = WordPieceTokenizer(TOKENIZER_JSON.read_bytes())  # what it learns lives through all tests


@pytest.fixture
def tokenizer() -> WordPieceTokenizer:
    """A tokenizer with an empty memory."""
    return WordPieceTokenizer(TOKENIZER_JSON.read_bytes())


def library_ids(text: str) -> list[int]:
    ids: list[int] = SHARED.library.encode(text, add_special_tokens=False).ids
    return ids


def tokens(ids: list[int]) -> list[str | None]:
    return [SHARED.library.id_to_token(id_) for id_ in ids]


def test_a_word_is_cut_at_the_longest_start_and_the_longest_tails() -> None:
    # By hand: "unaf" starts no token, "una" is one; of "ffable", "##ffa" is the longest, and
    # "##ble" is left.
    assert tokens(SHARED.token_ids("unaffable")) == ["una", "##ffa", "##ble"]
    # Published: README of google-research/bert, section "Tokenization".
    assert tokens(SHARED.token_ids("John Johanson's house")) == [
        *("john", "johan", "##son", "'", "s", "house"),
    ]


def test_a_word_without_known_pieces_is_one_unknown_token() -> None:
    assert tokens(SHARED.token_ids("a" * 101)) == ["[UNK]"]  # over 100 characters
    assert "[UNK]" not in tokens(SHARED.token_ids("a" * 100))


ODD_TEXTS = {
    "nothing": "",
    "white space": " \t\r\n\u3000\u2028\xa0 ",
    "control characters join words": "a\x00b\x0bc\x0cd\x1ce\x1df\x1eg\x1fh\x85i\x7fj",
    "control characters alone": "\x00\x01\x1f\x7f\x80\x9f",
    "special tokens": "x[MASK]y [CLS] [SEP]a [PAD] [UNK] [mask] [ MASK] [[MASK]] [MASK\x00]",
    "continuations as words": "##ing ##s # ##a [unused1] [unused]",
    "marks": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ a.b,c don't e-mail x+=1; _under_score_",
    "accents": "Café déjà vu, naïve façade; A\u0301 e\u0301\u0323 \u0301 x \u0301y Å ﬁ ß ẞ Æ İ ı ſ",
    "final sigma": "ΟΔΥΣΣΕΥΣ Σ ΑΣ. σς",
    "hangul": "안녕하세요 세계 \u1112\u1161\u11ab",
    "chinese": "今天天气很好，我们去公园吧。abc中文def漢\u0301字",
    "rare chinese": "\U00020000\U0002a6df\U0002b740\ufa0e\u3400 x\U0002b820y",
    "japanese": "東京タワーへ行きたいです。ﾊﾝｶｸ",
    "right to left": "שלום עולם مرحبا بالعالم \u202eabc\u202c",
    "emoji": "hi 👋🏽 👨‍👩‍👧 🇩🇪 ok☺️",
    "format characters": "a\u200bb\u200cc\u200dd\u2060e\ufefff\xadg",
    "private and unassigned": "a\ue000b\U000e0001c\U0010ffffd\u0378e\ufffdf",
    "marks of many scripts": "a。b、c！d？e「f」g—h–i…j“k”l‘m’n·o¿p¡q§r¶s",
    "combining marks that reorder": "a\u302e\u0316b \U0001d165\U0001d16d x\u0f71\u0f72",
    "devanagari and thai": "नमस्ते दुनिया สวัสดีชาวโลก",
    "mathematics": "∫₀^∞ e^{−x²} dx = √π/2 ≠ ½ ℝ ∀ε>0 𝔸𝕓",
    "code": "def f(x: int) -> str:\n\treturn f'{x!r}'\n\n\nif __name__ == '__main__':\n    f(1)",
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_text_has_the_ids_of_the_library(text: str, tokenizer: WordPieceTokenizer) -> None:
    assert tokenizer.token_ids(text) == library_ids(text)
    assert tokenizer.token_ids(text) == library_ids(text)  # now that its words are known


def test_characters_of_every_plane_have_the_ids_of_the_library_between_letters_and_alone() -> None:
    codes = [*range(0x20000), *range(0x20000, 0x110000, 97)]
    blocks = [codes[at : at + 64] for at in range(0, len(codes), 64)]
    for block in blocks:
        letters = [chr(code) for code in block if not 0xD800 <= code < 0xE000]
        text = " ".join([f"a{letter}b {letter}" for letter in letters])
        assert SHARED.token_ids(text) == library_ids(text), hex(block[0])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_has_the_ids_of_the_library(text: str) -> None:
    assert SHARED.token_ids(text) == library_ids(text)


@given(
    st.lists(st.sampled_from([*"aB7é漢 \t\x00\x1f\x85\xa0\u0301\u302e#[]_.,Σİ👋", "[MASK]", "##s"]))
)
def test_any_mix_of_difficult_parts_has_the_ids_of_the_library(parts: list[str]) -> None:
    text = "".join(parts)
    assert SHARED.token_ids(text) == library_ids(text)


@given(st.text(st.characters(max_codepoint=0x7F), max_size=200))
def test_any_ascii_text_has_the_ids_of_the_library(text: str) -> None:
    assert SHARED.token_ids(text) == library_ids(text)


def test_learned_words_are_bounded(
    tokenizer: WordPieceTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wordpiece, "MAX_LEARNED_WORDS", 10)
    text = " ".join(f"word{number} é{number}" for number in range(60))
    for _ in range(2):
        assert tokenizer.token_ids(text) == library_ids(text)
        assert tokenizer.n_learned <= 10


def test_long_words_are_not_learned(tokenizer: WordPieceTokenizer) -> None:
    tokenizer.token_ids(f"{'q' * 25} {'z' * 24}")
    assert tokenizer.n_learned == 1
    tokenizer.token_ids("é" * 25)
    assert tokenizer.n_learned == 1


def test_what_was_learned_can_be_forgotten(tokenizer: WordPieceTokenizer) -> None:
    text = "unaffable Johanson, déjà vu"
    tokenizer.token_ids(text)
    tokenizer.token_ids("unaffable")
    assert tokenizer.n_learned > 0
    tokenizer.forget()
    assert tokenizer.n_learned == 0
    assert tokenizer.token_ids(text) == library_ids(text)


def test_a_text_with_many_new_words_beyond_ascii_is_learned_in_part(
    tokenizer: WordPieceTokenizer,
) -> None:
    text = " ".join(f"é{number}" for number in range(200))
    for n_known in (64, 128, 192, 200):
        assert tokenizer.token_ids(text) == library_ids(text)
        assert tokenizer.n_learned == n_known


def test_threads_share_a_tokenizer(
    tokenizer: WordPieceTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wordpiece, "MAX_LEARNED_WORDS", 50)
    texts = [" ".join(f"w{a}x{b}" for a in range(40)) for b in range(40)]
    expected = [library_ids(text) for text in texts]
    failures: list[int] = []

    def work() -> None:
        for row, text in enumerate(texts):
            if tokenizer.token_ids(text) != expected[row]:
                failures.append(row)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert tokenizer.n_learned <= 50 + len(threads)


def test_halves_of_surrogate_pairs_are_joined_and_lone_ones_replaced() -> None:
    assert without_surrogates("a\ud83d\ude00b\ud800c\udc00") == "a😀b\ufffdc\ufffd"


def test_the_shipped_tokenizer_is_the_bert_that_this_module_knows() -> None:
    settings = json.loads(TOKENIZER_JSON.read_text(encoding="utf-8"))
    assert settings["normalizer"] == {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": True,
    }
    assert settings["pre_tokenizer"] == {"type": "BertPreTokenizer"}
    assert settings["model"]["continuing_subword_prefix"] == "##"
    assert sorted(settings["model"]["vocab"].values()) == list(range(30_522))


def test_every_word_of_the_vocabulary_is_its_own_token() -> None:
    vocabulary = json.loads(TOKENIZER_JSON.read_text(encoding="utf-8"))["model"]["vocab"]
    words = {word: id_ for word, id_ in vocabulary.items() if word.isalnum() or len(word) == 1}
    assert len(words) > 23_000
    for word, id_ in words.items():
        assert SHARED.token_ids(word) == [id_] == library_ids(word), word
