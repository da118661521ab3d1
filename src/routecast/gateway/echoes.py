"""Our key in what an upstream answers: some repeat what they were sent, in headers or errors."""

from typing import Final

from routecast.gateway.events import Tap
from routecast.gateway.headers import RawHeaders
from routecast.gateway.unpacking import PACKED, Unpacker

MIN_SECRET_CHARACTERS: Final = 8
"""Shorter keys are placeholders such as ``none`` or ``ollama``, which stand in innocent answers."""

_MAX_DECODED_BYTES: Final = 1 << 22
_OF_THE_PACKED: Final = frozenset({b"content-encoding", b"content-length"})


def secret_of(api_key: str | None) -> bytes | None:
    """Return what must never reach a client, None where there is no key or only a placeholder."""
    if api_key is None or len(api_key) < MIN_SECRET_CHARACTERS:
        return None
    return api_key.encode()


def erase_secret(headers: RawHeaders, secret: bytes) -> tuple[RawHeaders, tuple[Tap, ...]]:
    """Return the headers of an error answer, and the tap that keeps a secret out of its body.

    What is packed by gzip or deflate is unpacked for it, up to 4 MiB, and so loses its encoding
    and its length. Other codings cannot be read here: their bodies pass as they are.
    """
    encoding = dict(headers).get(b"content-encoding", b"identity").strip().lower()
    if encoding in PACKED:
        kept = [header for header in headers if header[0] not in _OF_THE_PACKED]
        return kept, (SecretEraser(secret, is_packed=True),)
    return headers, (SecretEraser(secret),) if encoding == b"identity" else ()


class SecretEraser:
    """A tap that puts as many asterisks in a secret's place, so that lengths stay true."""

    usage = None

    def __init__(self, secret: bytes, *, is_packed: bool = False) -> None:
        """Begin at the start of an answer.

        Args:
            secret: What is taken out; not empty.
            is_packed: Whether the body comes in gzip or deflate; it goes on unpacked.
        """
        self._secret = secret
        self._held = b""
        self._n_left = _MAX_DECODED_BYTES
        self._unpacker = Unpacker() if is_packed else None

    def feed(self, chunk: bytes) -> bytes:
        """Return what goes on: all but an end that may be the beginning of the secret."""
        if self._unpacker is not None:
            chunk = b"".join(self._unpacker.pieces(chunk, max_bytes=self._n_left))
            self._n_left -= len(chunk)
        secret = self._secret
        window = (self._held + chunk).replace(secret, b"*" * len(secret))
        n_held = min(len(window), len(secret) - 1)
        while n_held and not secret.startswith(window[-n_held:]):
            n_held -= 1
        self._held = window[len(window) - n_held :]
        return window[: len(window) - n_held]

    def finish(self) -> bytes:
        """Return what was held back: the end of the answer, and not the secret."""
        held, self._held = self._held, b""
        return held
