"""Numbers as people read and write them, and as JSON does."""

import math

import typer


def counted(number: int, noun: str) -> str:
    """Return ``1 prompt`` or ``1,234 prompts``; for nouns that take a plain s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def finite_or_none(value: float) -> float | None:
    """Return the value, or None for what JSON cannot hold: NaN and the infinities."""
    return value if math.isfinite(value) else None


def check_share(value: float | None) -> float | None:
    """Return a share, or None; refuse what is none, a percentage with what may be meant."""
    if value is None or 0 <= value <= 1:
        return value
    hint = f"; did you mean {value / 100:g}?" if 1 < value <= 100 else ""
    raise typer.BadParameter(f"{value:g} is refused; accepted is a share from 0 to 1{hint}")
