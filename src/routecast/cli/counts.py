"""Numbers as people read and write them, and as JSON does."""

import math

import typer


def counted(number: int, noun: str) -> str:
    """Return ``1 prompt`` or ``1,234 prompts``; for nouns that take a plain s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def finite_or_none(value: float) -> float | None:
    """Return the value, or None for what JSON cannot hold: NaN and the infinities."""
    return value if math.isfinite(value) else None


def parse_share(text: str) -> float:
    """Read a share from 0 to 1; refuse all else, a percentage with what may be meant.

    Raises:
        typer.BadParameter: If it is none.
    """
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = math.nan
    if 0 <= value <= 1 and "%" not in text:
        return value
    hint = f"; did you mean {value / 100:g}?" if 0 <= value <= 100 else ""
    raise typer.BadParameter(f"{text!r} is refused; accepted is a share from 0 to 1{hint}")
