"""What a client may ask of a route by request headers, ``x-routecast-...``."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from routecast.errors import ConfigError, RequestError
from routecast.policy.route_settings import Override

_PREFIX = b"x-routecast-"
_NAMES: dict[bytes, Override] = {
    b"x-routecast-threshold": "threshold",
    b"x-routecast-strong-share": "strong_share",
    b"x-routecast-force": "force",
}


@dataclass(frozen=True, slots=True)
class Wish:
    """The one thing that a client asks of a route for this request.

    Attributes:
        kind: As the setting ``overrides`` names it.
        share: The threshold or the share of strong calls, in [0, 1]; 0 for a forced model.
        role: The forced model's, or None.
    """

    kind: Override
    share: float = 0.0
    role: Literal["strong", "weak"] | None = None

    @property
    def header(self) -> str:
        """The header that says it."""
        return f"x-routecast-{self.kind.replace('_', '-')}"


def read_wish(headers: Iterable[tuple[bytes, bytes]]) -> Wish | None:
    """Return what the client asks for; None for the route's own ways.

    Args:
        headers: As ASGI gives them: names in lower case.

    Raises:
        RequestError: If a header of this kind is unknown, its value is not accepted, or there are
            two of them.
    """
    given = [header for header in headers if header[0].startswith(_PREFIX)]
    if not given:
        return None
    if len(given) > 1:
        names = sorted({name.decode("latin-1") for name, _ in given})
        if len(names) == 1:
            times = "twice" if len(given) == 2 else f"{len(given)} times"
            raise _refusal(f"{names[0]} is given {times}; send it once")
        raise _refusal(f"{' and '.join(names)} do not go together; send one of them")
    ((name, value),) = given
    kind = _NAMES.get(name)
    if kind is None:
        raise _refusal(
            f"unknown header {name.decode('latin-1')[:100]!r}; accepted are "
            f"{[accepted.decode() for accepted in _NAMES]!r}"
        )
    return _read_value(kind, value.decode("latin-1").strip())


def _read_value(kind: Override, text: str) -> Wish:
    if kind == "force":
        if text == "strong":
            return Wish(kind, role="strong")
        if text == "weak":
            return Wish(kind, role="weak")
        raise _refusal(f"x-routecast-force {text[:100]!r} is refused; accepted: strong or weak")
    try:
        share = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        header = Wish(kind).header
        raise _refusal(f"{header} {text[:100]!r} is refused; accepted: a number from 0 to 1")
    return Wish(kind, share=share)


def refuse_wish(wish: Wish, why: str | ConfigError) -> RequestError:
    """Return the error that says why a route does not do what the client asks."""
    return _refusal(f"{wish.header} is refused: {why}")


def _refusal(message: str) -> RequestError:
    return RequestError(message, code="invalid_routecast_header")
