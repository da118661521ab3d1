"""Texts that ask the same thing in another form: what a router should not be moved by.

All of it is rules, so the same prompt and seed always give the same text. The rewrites are rules
too, and no paraphrases: they change the words that questions are opened with and contractions, in
English.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from routecast.data.leakage import prompt_hash64

TYPO_SHARE: Final = 0.05
"""Share of the longer words that get a typo; every prompt with a longer word gets one at least."""

_LONGER_WORD: Final = re.compile(r"[A-Za-z]{4,}")

_OPENINGS: Final = {
    "what is the": "tell me the",
    "tell me the": "what is the",
    "what are": "list",
    "list": "name",
    "how many": "what number of",
    "how much": "what amount of",
    "how do i": "how can i",
    "how can i": "how do i",
    "which of the following": "which one of these",
    "calculate": "compute",
    "compute": "calculate",
    "find": "determine",
    "determine": "find",
    "solve": "work out",
    "explain": "describe",
    "describe": "explain",
    "write": "compose",
    "give": "provide",
    "provide": "give",
    "summarize": "sum up",
    "can you": "could you",
    "could you": "can you",
}
_CONTRACTIONS: Final = {
    "do not": "don't",
    "does not": "doesn't",
    "is not": "isn't",
    "are not": "aren't",
    "cannot": "can't",
    "it is": "it's",
    "i am": "i'm",
}
_REWRITTEN: Final = (
    _OPENINGS | _CONTRACTIONS | {short: long for long, short in _CONTRACTIONS.items()}
)
_SENTENCE_START: Final = r"(?:\A|(?<=[.!?:] )|(?<=\n))"
_REWRITABLE: Final = re.compile(
    rf"{_SENTENCE_START}(?:{'|'.join(_OPENINGS)})\b"
    rf"|\b(?:{'|'.join(_REWRITTEN.keys() - _OPENINGS.keys())})\b",
    re.IGNORECASE,
)

FILLER: Final = (
    "What follows has nothing to do with the request above. The morning was mild, and the street "
    "was quiet. A baker put out a small table with two chairs, and a cat lay down under one of "
    "them. Later a bus went by, then a man with a parcel, then nobody for a while. The light moved "
    "along the wall as it does every day. Somebody opened a window on the second floor, shook a "
    "cloth, and closed it again. Around noon a few people came for bread and talked about the "
    "weather, which was as they had expected. One of them had brought a book and left it on the "
    "table; the baker kept it for her until the evening. In the afternoon the wind turned a "
    "little, and the leaves of the old tree at the corner could be heard. Two children drew lines "
    "with chalk and hopped from one to the next. When the lamps were lit, the table and the chairs "
    "were taken in, the cat went home, and the street was as quiet as it had been before. This is "
    "the end of the part that has nothing to do with the request, and nothing in it needs to be "
    "read or answered."
)
"""Neutral text, written for this purpose."""


def with_typos(prompt: str, seed: int) -> str:
    """Swap two neighbouring letters, or drop one, in some of the words of four letters or more.

    The first letter of a word stays. Draws depend on the seed and the prompt's letters alone.
    """
    words = list(_LONGER_WORD.finditer(prompt))
    if not words:
        return prompt
    draws = np.random.default_rng([seed, prompt_hash64(prompt)])
    n_typos = max(1, round(TYPO_SHARE * len(words)))
    pieces, start = [], 0
    for row in sorted(draws.choice(len(words), n_typos, replace=False).tolist()):
        word, letters = words[row], words[row].group()
        place = int(draws.integers(1, len(letters) - 1))
        kept = letters[place : place + 2][::-1] if draws.random() < 0.5 else letters[place]
        pieces += [prompt[start : word.start()], letters[:place], kept, letters[place + 2 :]]
        start = word.end()
    return "".join([*pieces, prompt[start:]])


def with_more_space(prompt: str) -> str:
    """Double every space and line break, and end with two spaces and a blank line."""
    return prompt.replace(" ", "  ").replace("\n", "\n\n") + "  \n\n"


def with_politeness(prompt: str) -> str:
    """Ask politely, and say thank you."""
    return f"Please help me with this: {prompt}\n\nThank you!"


def rewritten(prompt: str) -> str:
    """Swap openings of sentences, and contractions, for others of the same meaning, all at once."""
    return _REWRITABLE.sub(_replacement, prompt)


def _replacement(found: re.Match[str]) -> str:
    new = _REWRITTEN[found.group().lower()]
    return new[0].upper() + new[1:] if found.group()[0].isupper() else new


def padded(prompt: str, n_characters: int) -> str:
    """Append that many neutral characters, at most 1,000: a blank line and the filler's start."""
    return f"{prompt}\n\n{FILLER}"[: len(prompt) + n_characters]


SAME_REQUEST: Final[Mapping[str, Callable[[str, int], str]]] = {
    "typos": with_typos,
    "upper_case": lambda prompt, _: prompt.upper(),
    "lower_case": lambda prompt, _: prompt.lower(),
    "spaces": lambda prompt, _: with_more_space(prompt),
    "politeness": lambda prompt, _: with_politeness(prompt),
    "rewrites": lambda prompt, _: rewritten(prompt),
}
"""From a prompt and a seed to a text that asks the same, by name."""
