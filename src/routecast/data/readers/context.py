"""What a reader is given besides the rows."""

from dataclasses import dataclass
from typing import Literal

from routecast.data.sources import Keep, Source
from routecast.data.tally import Tally

Kind = Literal["comparisons", "outcomes", "prompts"]
"""The contracts that a table can be read into."""

PAPER_MIN_PROMPT_CHARS = 16
"""Ong et al. (2024), section 4: prompts of votes with fewer characters say too little."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How to read; each format takes some of these.

    Attributes:
        min_prompt_chars: Leave out prompts with fewer characters, white space at the ends not
            counted. None is what the format does: 16 for comparisons of published sets, else 1.
        answers: Keep the answers' texts, where the source has them, as ``answer|NAME``.
        prompt_column: Column that holds the prompt, used as it is.
        group_column: Column to copy into ``group``.
        quality_range: Lowest and highest quality that the scale knows.
        label_source: What to write into ``source``; None is the format's name, or the Hub's id.
    """

    min_prompt_chars: int | None = None
    answers: bool = True
    prompt_column: str | None = None
    group_column: str | None = None
    quality_range: tuple[float, float] = (0.0, 1.0)
    label_source: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One pass over one source.

    Attributes:
        source: Where the rows come from.
        options: How to read them.
        tally: What became of them so far.
        keep: Which columns of our own files are needed; all when None.
    """

    source: Source
    options: ReadOptions
    tally: Tally
    keep: Keep | None = None

    def where(self, number: int) -> str:
        """Return a row's place for a message: ``votes.csv, line 7``."""
        return f"{self.source.name}, {self.source.unit} {number}"
