"""From the most probable first tokens of an answer to the probabilities of the labels.

A server returns the k most probable tokens with their probabilities. The rules:

1. A token is a label if it is the label's text but for white space around it, which tokenizers
   keep in the token (``" A"``, ``"▁A"``, ``"ĠA"``); the probabilities of such tokens add up.
   Upper and lower case differ.
2. A label that is not among the k tokens is at most as probable as the least probable of them, and
   at most what all of them leave; it gets the smaller of these two, shared evenly where several
   labels are missing. So its chance is never underestimated, and it stays small where k is large.
3. Where no label is among them, or all that are have the probability 0, nothing is known, and the
   router abstains.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from routecast.types import FloatArray
from routecast.upstream.first_token import TokenChance

_SPACE_MARKS: Final = "▁Ġ"


def strip_token(token: str) -> str:
    """Return a token's text without white space and without the marks that stand for it."""
    return token.strip().lstrip(_SPACE_MARKS).strip()


def label_logprobs(chances: Sequence[TokenChance], labels: Sequence[str]) -> FloatArray:
    """Return the logarithm of each label's probability by the rules above.

    Args:
        chances: The most probable first tokens, each text once.
        labels: Their text.

    Returns:
        Shape (n_labels,), 0 or less; all NaN where nothing is known.
    """
    found = np.zeros(len(labels))
    is_there = np.zeros(len(labels), dtype=np.bool_)
    places = {label: place for place, label in enumerate(labels)}
    for chance in chances:
        place = places.get(strip_token(chance.token))
        if place is not None:
            found[place] += math.exp(chance.logprob)
            is_there[place] = True
    if not found.any():
        return np.full(len(labels), np.nan)
    missing = ~is_there
    if missing.any():
        listed = [math.exp(chance.logprob) for chance in chances]
        rest = max(0.0, 1.0 - sum(listed))
        found[missing] = min(*listed, rest / missing.sum())
    with np.errstate(divide="ignore"):
        logprobs: FloatArray = np.log(found)
    return np.minimum(logprobs, 0.0)


def seen_labels(chances: Sequence[TokenChance], labels: Sequence[str]) -> set[str]:
    """Return the labels that came back as single tokens."""
    return {strip_token(chance.token) for chance in chances} & set(labels)


def split_label(chances: Sequence[TokenChance], labels: Sequence[str]) -> str | None:
    """Return a label whose beginning is the most probable token, so that it takes several.

    None where the most probable token begins no label, or is one.
    """
    if not chances:
        return None
    start = strip_token(chances[0].token)
    return next((label for label in labels if start and label != start and label.startswith(start)),
                None)  # fmt: skip
