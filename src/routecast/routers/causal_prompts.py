"""From queries to the token ids that a causal LM reads: instruction, query, and the label's place.

The three pieces are tokenised apart and joined as ids, in training and in scoring alike, so that
the instruction's ids never depend on the query and its attention cache can be shared.
"""

from pathlib import Path
from typing import Final

from routecast.errors import ConfigError
from routecast.routers.causal_template import Template
from routecast.routers.token_windows import TokenWindows, open_token_windows

MIN_QUERY_TOKENS: Final = 16


def open_prompt_windows(folder: Path, template: Template, *, length: int) -> TokenWindows:
    """Return what cuts queries to windows of a model's length, the instruction around them.

    Args:
        folder: Holds the model's ``tokenizer.json``; what the tokenizer puts before every text, a
            start token say, stands before the instruction, and what it puts after is left out.
        template: The instruction. A special token that it spells out is plain text.
        length: Tokens in all.

    Raises:
        ArtifactError: If the folder holds no tokenizer.
        ConfigError: If instruction and length leave fewer than 16 tokens for the query.
    """
    plain = open_token_windows(folder, max_tokens=length)
    prefix, suffix = (
        plain.tokenizer.encode(text, add_special_tokens=False).ids
        for text in (template.prefix, template.suffix)
    )
    n_fixed = len(plain.prefix) + len(prefix) + len(suffix)
    if length - n_fixed < MIN_QUERY_TOKENS:
        raise ConfigError(
            f"length {length!r} leaves {max(0, length - n_fixed)} tokens for the query beside the "
            f"instruction; give at least {n_fixed + MIN_QUERY_TOKENS}"
        )
    return TokenWindows(
        tokenizer=plain.tokenizer,
        max_tokens=length,
        prefix=(*plain.prefix, *prefix),
        suffix=tuple(suffix),
    )
