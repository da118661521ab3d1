"""The keys that clients show, compared in constant time.

Only keyed digests are kept, so that a comparison takes the same time whatever was shown, and a
traceback or a dump of this object shows no key.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from hmac import compare_digest
from os import urandom

_KEY_HEADERS = frozenset({b"x-api-key", b"api-key"})
_BEARER = b"bearer "


@dataclass(frozen=True, kw_only=True)
class ClientKeys:
    """The keys that a gateway accepts.

    Attributes:
        digests: One per key, in the order given, made with ``salt``.
        salt: Drawn anew for each process.
    """

    digests: tuple[bytes, ...] = field(repr=False)
    salt: bytes = field(repr=False)

    def find(self, shown: bytes) -> int | None:
        """Return which key was shown, by its position in the settings; None if it is none."""
        digest = _digest(shown, self.salt)
        found = None
        for position, accepted in enumerate(self.digests):  # to the end: the time tells nothing
            if compare_digest(digest, accepted):
                found = position
        return found


def keep_client_keys(secrets: Iterable[str]) -> ClientKeys | None:
    """Return the keys in the form in which they are kept; None when there are none."""
    salt = urandom(32)
    digests = tuple(_digest(secret.encode(), salt) for secret in secrets)
    return ClientKeys(digests=digests, salt=salt) if digests else None


def _digest(key: bytes, salt: bytes) -> bytes:
    return blake2b(key, digest_size=32, key=salt).digest()


def shown_keys(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Return every key that a request shows.

    Read from ``Authorization: Bearer`` (OpenAI's clients), ``x-api-key`` (Anthropic's) and
    ``api-key`` (Azure's).

    Args:
        headers: As ASGI gives them: names in lower case.
    """
    keys = []
    for name, value in headers:
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            keys.append(value[len(_BEARER) :].strip())
        elif name in _KEY_HEADERS:
            keys.append(value.strip())
    return keys
