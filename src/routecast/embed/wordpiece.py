"""BERT's uncased WordPiece, fast: the ids of the ``tokenizers`` library, mostly without it.

A text is cut at white space into chunks, and the ids of a chunk do not depend on its neighbours:
BERT's normaliser and pre-tokeniser look at one character at a time, and no accent reaches across
a space. So a bounded memo from chunk to ids does nearly all the work. Chunks that it has not seen
are tokenised here when they are plain ASCII, and by the library when they are not, or when they
hold a special token such as ``[MASK]``.

What the library does before it cuts is done here too: control characters are dropped, also
between words, and each Chinese character stands alone.
"""

import re
from collections.abc import Iterable
from itertools import chain, islice
from typing import Final

import msgspec
from tokenizers import Tokenizer

MAX_MEMO_CHUNKS: Final = 65_536
"""The memo is emptied when it holds so many chunks."""

MAX_MEMO_CHARS: Final = 32
"""Longer chunks are tokenised each time they occur."""

MAX_MEMO_TOKENS: Final = 16
"""So are chunks of more tokens. Together these keep the memo below about 32 MB."""

MAX_NEW_CHUNKS: Final = 64
"""A text with more unseen chunks beyond ASCII goes to the library whole."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_CHINESE = re.compile(r"([\u3400-\u4dbf\u4e00-\u9fff])")  # most of what the library sets apart
_WORD_OR_MARK = re.compile(r"[a-z0-9]+|[!-~]")


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
        lowers case; ``BertPreTokenizer``; ``WordPiece`` with ``##``.
        """
        self.library = Tokenizer.from_buffer(tokenizer_json)
        settings = msgspec.json.decode(tokenizer_json, type=_TokenizerFile)
        self._memo = _ChunkMemo(self.library, settings)

    @property
    def n_known_chunks(self) -> int:
        """How many chunks the memo holds."""
        return len(self._memo)

    def forget(self) -> None:
        """Empty the memo."""
        self._memo.clear()

    def token_ids(self, text: str) -> list[int]:
        """Return the ids that the library gives without special tokens added.

        Args:
            text: Any text without lone surrogates (`without_surrogates`).
        """
        memo = self._memo
        if _CONTROL.search(text):
            whole, text = text, _CONTROL.sub("", text)
            if memo.special.search(text):  # which a control character may have hidden
                return self._library_ids(whole)
        if text.isascii():
            return list(chain.from_iterable(map(memo.__getitem__, text.split())))
        chunks = _CHINESE.sub(r" \1 ", text).split()
        if memo.can_learn(chunks):
            return list(chain.from_iterable(map(memo.__getitem__, chunks)))
        return self._library_ids(text)

    def _library_ids(self, text: str) -> list[int]:
        ids: list[int] = self.library.encode(text, add_special_tokens=False).ids
        return ids


class _ChunkMemo(dict[str, tuple[int, ...]]):
    """Ids by chunk; a chunk that is not there is tokenised and, within bounds, kept.

    Threads may lose one another's entries and pass the bound by one entry each, no more.
    """

    def __init__(self, library: Tokenizer, settings: _TokenizerFile) -> None:
        super().__init__()
        self._library = library
        self._words = _Words(settings.model)
        specials = "|".join(re.escape(token.content) for token in settings.added_tokens)
        self.special = re.compile(specials or r"(?!)")
        self._shared_ids = sorted(settings.model.vocab.values())

    def __missing__(self, chunk: str) -> tuple[int, ...]:
        """Tokenise a chunk that is new."""
        if chunk.isascii() and not self.special.search(chunk):
            ids = self._words[chunk.lower()]
        else:
            found = self._library.encode(chunk, add_special_tokens=False).ids
            ids = tuple([self._shared_ids[id_] for id_ in found])
        if len(chunk) <= MAX_MEMO_CHARS and len(ids) <= MAX_MEMO_TOKENS:
            if len(self) >= MAX_MEMO_CHUNKS:
                self.clear()
            self[chunk] = ids
        return ids

    def can_learn(self, chunks: Iterable[str]) -> bool:
        """Say whether few chunks beyond ASCII are new; of too many, learn some for next time."""
        new = {chunk for chunk in chunks if chunk not in self and not chunk.isascii()}
        if len(new) <= MAX_NEW_CHUNKS:
            return True
        for chunk in islice(new, MAX_NEW_CHUNKS):
            self[chunk]
        return False


class _Words(dict[str, tuple[int, ...]]):
    """Ids by ASCII word or mark of the vocabulary; other ASCII text is cut up, and not kept.

    WordPiece takes the longest known start of a word, then the longest known tails.
    """

    def __init__(self, model: _Model) -> None:
        super().__init__(
            (token, (id_,)) for token, id_ in model.vocab.items() if _WORD_OR_MARK.fullmatch(token)
        )
        self._unknown = (model.vocab[model.unk_token],)
        self._max_chars = model.max_input_chars_per_word
        self._starts = {token: id_ for token, id_ in model.vocab.items() if token.isascii()}
        self._tails = {token[2:]: id_ for token, id_ in self._starts.items() if token[:2] == "##"}
        self._longest = _longest_by_start([*self._starts, *self._tails])

    def __missing__(self, text: str) -> tuple[int, ...]:
        """Return the ids of small letters, digits and marks without white space."""
        words = _WORD_OR_MARK.findall(text)
        if len(words) == 1:
            return self._cut(words[0])
        return tuple(chain.from_iterable(map(self.__getitem__, words)))

    def _cut(self, word: str) -> tuple[int, ...]:
        """Return the ids of one word that is not in the vocabulary."""
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
