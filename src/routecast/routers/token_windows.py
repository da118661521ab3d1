"""Texts as token ids that fit into a model: of a long one, its head and its tail.

A prompt states its task at its start or at its end, so the middle is what is left out. Needs the
library tokenizers only, not torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from routecast.embed.protocol import Cut
from routecast.embed.wordpiece import without_surrogates
from routecast.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHARS_PER_TOKEN: Final = 64
"""Characters that are read at each end of a very long text, per token that is kept of it."""


def keep_head_and_tail(ids: Sequence[int], max_tokens: int) -> list[int]:
    """Return at most ``max_tokens`` ids: all, or the first half and the last half of that many.

    Of an odd number the head has one more.
    """
    if len(ids) <= max_tokens:
        return list(ids)
    n_tail = max_tokens // 2
    return [*ids[: max_tokens - n_tail], *ids[len(ids) - n_tail :]]


@dataclass(frozen=True, eq=False)
class TokenWindows:
    """Cuts texts to windows of token ids. Safe to share between threads.

    Attributes:
        tokenizer: Neither truncates nor pads.
        max_tokens: Length of a window, the fixed ids included.
        prefix: Ids before every text: ``[CLS]``, or an instruction.
        suffix: Ids after it: ``[SEP]``, or what asks for the answer.
    """

    tokenizer: "Tokenizer"
    max_tokens: int
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a window that has no room for a text."""
        n_fixed = len(self.prefix) + len(self.suffix)
        if self.max_tokens < n_fixed + 2:
            raise ConfigError(
                f"length {self.max_tokens!r} leaves no room for the prompt beside {n_fixed} fixed "
                f"tokens; give at least {n_fixed + 2}"
            )

    @property
    def n_text_tokens(self) -> int:
        """Tokens of a text that are kept at most."""
        return self.max_tokens - len(self.prefix) - len(self.suffix)

    def windows(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, fixed ids around them, at most ``max_tokens`` each.

        Any text is accepted: empty, very long, with lone surrogates (which become U+FFFD).
        """
        kept = self.text_windows(texts)
        return [[*self.prefix, *ids, *self.suffix] for ids in kept]

    def text_windows(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the same without the fixed ids, at most ``n_text_tokens`` each."""
        if not texts:
            return []
        found = self._encode([self._readable(text) for text in texts])
        return [keep_head_and_tail(ids, self.n_text_tokens) for ids in found]

    def cut(self, text: str) -> Cut:
        """Say what is left out of a text, from its middle."""
        readable = self._readable(text)
        n_characters = max(0, len(text) - 2 * self._n_end_characters)
        if not n_characters and len(readable.encode("utf-8", "replace")) <= self.n_text_tokens:
            return Cut(n_characters=0, n_tokens=0)  # a token has a byte or more
        n_tokens = len(self._encode([readable])[0])
        return Cut(n_characters=n_characters, n_tokens=max(0, n_tokens - self.n_text_tokens))

    @property
    def _n_end_characters(self) -> int:
        return self.n_text_tokens * CHARS_PER_TOKEN

    def _readable(self, text: str) -> str:
        """Return what is handed to the tokenizer: of a very long text, its two ends."""
        n_end = self._n_end_characters
        if len(text) > 2 * n_end:
            text = f"{text[:n_end]} {text[-n_end:]}"
        return text if text.isascii() else without_surrogates(text)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        encodings = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        return [encoding.ids for encoding in encodings]


def open_token_windows(folder: Path, *, max_tokens: int) -> TokenWindows:
    """Read ``tokenizer.json`` of a model's folder; its own special tokens become the fixed ids.

    Raises:
        ArtifactError: If the file is missing or no tokenizer.
        ConfigError: If ``max_tokens`` leaves no room for a text.
    """
    tokenizer = read_tokenizer(folder)
    encoding = tokenizer.encode("a", add_special_tokens=True)
    special = encoding.special_tokens_mask
    n_prefix = special.index(0) if 0 in special else len(special)
    n_suffix = special[::-1].index(0) if 0 in special else 0
    return TokenWindows(
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        prefix=tuple(encoding.ids[:n_prefix]),
        suffix=tuple(encoding.ids[len(special) - n_suffix :]),
    )


def read_tokenizer(folder: Path) -> "Tokenizer":
    """Read ``tokenizer.json`` of a model's folder, without truncation and padding.

    Special tokens that a prompt spells out are taken for plain text, so that nobody can write
    ``[SEP]`` or a label into a prompt.

    Raises:
        ArtifactError: If the file is missing or no tokenizer.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ArtifactError(
            f"{str(folder)!r} holds no tokenizer.json, the fast tokenizer of a model; save one "
            "there with AutoTokenizer.from_pretrained(...).save_pretrained"
        )
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # noqa: BLE001 (tokenizers raises nothing narrower)
        raise ArtifactError(f"{str(path)!r} is no tokenizer: {error}; copy it again") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer
