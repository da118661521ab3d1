"""Numbers of things, in words."""


def counted(number: int, noun: str) -> str:
    """Return ``1 prompt`` or ``1,234 prompts``; for nouns that take a plain s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
