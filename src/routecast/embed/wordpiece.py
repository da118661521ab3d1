"""BERT's uncased WordPiece, fast: the ids of the ``tokenizers`` library, mostly without it.

BERT's normaliser and pre-tokeniser look at one character at a time: control characters are
dropped (also inside words), capitals and accents are folded, each mark and each Chinese character
stands alone. So a text is a sequence of words that do not depend on one another: pad what stands
alone with spaces, lower the case of ASCII, split, and look the words up. An ASCII word that is
not in the vocabulary is cut into pieces here; any other word goes to the library. Both are
remembered. A text with a special token such as ``[MASK]`` goes to the library whole.
"""

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final, cast

import msgspec
from tokenizers import Tokenizer

MAX_LEARNED_WORDS: Final = 65_536
"""Words beyond the vocabulary that are remembered; at this number all are forgotten."""

MAX_LEARNED_CHARS: Final = 24
"""Words of more characters, or more tokens, are not remembered: all take 35 MB at most."""

MAX_NEW_WORDS: Final = 64
"""A text with more unseen words beyond ASCII goes to the library whole."""

_C1_CONTROL = re.compile(r"[\x80-\x9f]+")
_CHINESE = re.compile(r"([\u3400-\u4dbf\u4e00-\u9fff])")  # most of what the library sets apart
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NO_MARKS = _LETTERS + b"0123456789 \t\r\n" + bytes(range(0x80, 0x100))
_PADDED = [f" {chr(code)} " if 0x20 < code < 0x7F else "" for code in range(0x80)]
_BRACKET = ord("[")  # every special token has one

Ids = tuple[int, ...]


class _Token(msgspec.Struct):
    content: str


class _Model(msgspec.Struct):
    vocab: dict[str, int]
    unk_token: str
    max_input_chars_per_word: int


class _TokenizerFile(msgspec.Struct):
    """What this module reads of a ``tokenizer.json``."""

    model: _Model
    added_tokens: list[_Token]


class WordPieceTokenizer:
    """Turns texts into token ids. Safe to share between threads."""

    def __init__(self, tokenizer_json: bytes) -> None:
        """Read the content of the library's ``tokenizer.json``.

        It must be BERT's: ``BertNormalizer`` that cleans, sets Chinese apart, strips accents and
        lowers case; ``BertPreTokenizer``; ``WordPiece`` with ``##``; special tokens in brackets.
        """
        self.library = Tokenizer.from_buffer(tokenizer_json)
        settings = msgspec.json.decode(tokenizer_json, type=_TokenizerFile)
        specials = [re.escape(token.content) for token in settings.added_tokens]
        self._special = re.compile("|".join(specials) or r"(?!)")
        self._words = settings.model.vocab
        self._learned = _LearnedWords(settings.model, self.library)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Words, pieces that begin with ``##``, and special tokens, by their ids."""
        return tuple(sorted(self._words, key=self._words.__getitem__))

    @property
    def n_learned(self) -> int:
        """How many words are remembered beside the vocabulary."""
        return len(self._learned)

    def forget(self) -> None:
        """Forget the words that are not in the vocabulary."""
        self._learned.clear()

    def token_ids(self, text: str) -> list[int]:
        """Return the ids that the library gives without special tokens added.

        Args:
            text: Any text without lone surrogates (`without_surrogates`).
        """
        whole, ascii_only = text, text.isascii()
        if not ascii_only:
            text = _CHINESE.sub(r" \1 ", _C1_CONTROL.sub("", text))
        marks = set(text.encode().translate(None, _NO_MARKS))
        if _BRACKET in marks and self._special.search(text):
            return self.library_ids(whole)
        for mark in marks:
            text = text.replace(chr(mark), _PADDED[mark])
        words = (text.lower() if ascii_only else text.encode().lower().decode()).split()
        ids = list(map(self._words.get, words))
        n_unknown = ids.count(None)
        if n_unknown and not (ascii_only or self._learned.can_learn(words)):
            return self.library_ids(whole)
        return self._fill_in(ids, words, n_unknown)

    def _fill_in(self, ids: list[int | None], words: list[str], n_unknown: int) -> list[int]:
        """Put the ids of learned words where the vocabulary had None."""
        at = n_added = 0
        for _ in range(n_unknown):
            at = ids.index(None, at)
            pieces = self._learned[words[at - n_added]]
            ids[at : at + 1] = pieces
            at += len(pieces)
            n_added += len(pieces) - 1
        return cast("list[int]", ids)

    def library_ids(self, text: str) -> list[int]:
        """Return the same, from the library."""
        ids: list[int] = self.library.encode(text, add_special_tokens=False).ids
        return ids


class _LearnedWords(dict[str, Ids]):
    """Ids by word that the vocabulary does not hold; a word that is new is learned.

    Threads may lose one another's words and pass the bound by one word each, no more.
    """

    def __init__(self, model: _Model, library: Tokenizer) -> None:
        super().__init__()
        self._library = library
        self._starts = {token: id_ for token, id_ in model.vocab.items() if token.isascii()}
        self._tails = {token[2:]: id_ for token, id_ in self._starts.items() if token[:2] == "##"}
        self._longest = _longest_by_start([*self._starts, *self._tails])
        self._unknown = (model.vocab[model.unk_token],)
        self._max_chars = model.max_input_chars_per_word
        self._shared_ids = list(range(len(model.vocab)))

    def __missing__(self, word: str) -> Ids:
        """Tokenise a word that is new, and learn it."""
        ids = self._cut(word) if word.isascii() else self._ask_library(word)
        if len(word) <= MAX_LEARNED_CHARS >= len(ids):
            if len(self) >= MAX_LEARNED_WORDS:
                self.clear()
            self[word] = ids
        return ids

    def can_learn(self, words: Iterable[str]) -> bool:
        """Say whether few words beyond ASCII are new; of too many, learn some for next time."""
        new = {word for word in words if not (word.isascii() or word in self)}
        if len(new) <= MAX_NEW_WORDS:
            return True
        for word in islice(new, MAX_NEW_WORDS):
            self[word]
        return False

    def _ask_library(self, word: str) -> Ids:
        ids = self._library.encode(word, add_special_tokens=False).ids
        return tuple([self._shared_ids[id_] for id_ in ids])

    def _cut(self, word: str) -> Ids:
        """Return the longest known start of an ASCII word, then the longest known tails."""
        n_chars = len(word)
        if n_chars > self._max_chars:
            return self._unknown
        ids: list[int] = []
        start, known = 0, self._starts
        while start < n_chars:
            end = min(n_chars, start + self._longest.get(word[start : start + 2], 1))
            while (id_ := known.get(word[start:end])) is None:
                end -= 1
                if end == start:
                    return self._unknown
            ids.append(id_)
            start, known = end, self._tails
        return tuple(ids)


def _longest_by_start(tokens: Iterable[str]) -> dict[str, int]:
    """Return the length of the longest token by its first two characters."""
    longest: dict[str, int] = {}
    for token in tokens:
        start, n_chars = token[:2], len(token)
        if n_chars > longest.get(start, 0):
            longest[start] = n_chars
    return longest


def without_surrogates(text: str) -> str:
    """Return the text with halves of surrogate pairs joined, and lone ones as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
