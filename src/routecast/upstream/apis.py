"""The APIs that an upstream may speak; formats pass through and are never translated."""

from enum import StrEnum


class Api(StrEnum):
    """An API by its name in the settings."""

    CHAT = "chat"
    """OpenAI's chat completions."""

    RESPONSES = "responses"
    """OpenAI's responses."""

    COMPLETIONS = "completions"
    """OpenAI's older text completions."""

    MESSAGES = "messages"
    """Anthropic's messages, and the count of their tokens."""

    EMBEDDINGS = "embeddings"
    """OpenAI's embeddings."""
