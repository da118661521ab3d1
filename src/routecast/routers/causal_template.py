"""The instruction around a query, up to the place where the label comes next."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from routecast.errors import ConfigError

QUERY: Final = "{query}"
"""Where the query goes in a template's text; it appears once."""


@dataclass(frozen=True)
class Template:
    """An instruction.

    The prefix is the same for every query, so its attention cache is computed once.

    Attributes:
        prefix: What stands before the query.
        suffix: What stands after it; the label follows.
    """

    prefix: str
    suffix: str

    @classmethod
    def parse(cls, text: str, *, source: str) -> Self:
        """Split a template's text at ``{query}``.

        Raises:
            ConfigError: If ``{query}`` is not in it just once.
        """
        if text.count(QUERY) != 1:
            raise ConfigError(
                f"the template {source!r} has {QUERY!r} {text.count(QUERY)} times; write it "
                "once, where the query goes"
            )
        prefix, suffix = text.split(QUERY)
        return cls(prefix, suffix)

    def fill(self, query: str) -> str:
        """Return the whole instruction for a query."""
        return f"{self.prefix}{query}{self.suffix}"


_WIN: Final = """\
Two language models are asked the query below. The strong one is expensive and the weak one is \
cheap. Judge from the query alone whose answer would be better: strong, weak, or tie if both \
would be about as good.

Query:
{query}

Better answer:
"""

_GRADE: Final = """\
A small, cheap language model is asked the query below. Judge from the query alone how good its \
answer would be, as a grade from 1 (useless) to 5 (as good as an expert's).

Query:
{query}

Grade:
"""

_LETTERS: Final = """\
Two language models are asked the query below. The strong one is expensive and the weak one is \
cheap. Judge from the query alone whose answer would be better.

A: the strong model's answer would be better.
B: both answers would be about as good.
C: the weak model's answer would be better.

Do not answer the query itself.

Query:
{query}

Reply with one letter, A, B or C, and nothing else."""

_TEXTS: Final = {"win": _WIN, "grade": _GRADE, "letters": _LETTERS}


def default_template(labels: str) -> Template:
    """Return the built-in instruction for a label set.

    Raises:
        KeyError: If no label set has that name.
    """
    return Template.parse(_TEXTS[labels], source=labels)


def read_template(path: str) -> Template:
    """Read an instruction from a file; white space at its very end is part of it.

    Raises:
        ConfigError: If the file cannot be read, is not UTF-8 text, or has no one ``{query}``.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the template {path!r} cannot be read: {error}; give a text file with {QUERY!r} in it"
        ) from None
    return Template.parse(text, source=path)
