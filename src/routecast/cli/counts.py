"""Numbers as people read them, and as JSON does."""

import math


def counted(number: int, noun: str) -> str:
    """Return ``1 prompt`` or ``1,234 prompts``; for nouns that take a plain s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def finite_or_none(value: float) -> float | None:
    """Return the value, or None for what JSON cannot hold: NaN and the infinities."""
    return value if math.isfinite(value) else None
