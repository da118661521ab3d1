"""The ways in which a fake upstream can misbehave on command."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Answer with a status, headers and a body of one's own instead of a completion."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": {"message": "refused on command", "type": "simulated"}}'


@dataclass(frozen=True, kw_only=True)
class Hang:
    """Take the request, then send nothing for ``duration_s`` seconds, then answer."""

    duration_s: float


@dataclass(frozen=True, kw_only=True)
class StopMidStream:
    """Drop the connection after some of the answer.

    Attributes:
        n_events: Whole server-sent events sent before the end; of a plain answer, half the body
            is sent whatever this says.
        tail: Bytes of an unfinished event sent after them.
        hang_s: Seconds of silence before the connection is dropped.
    """

    n_events: int = 2
    tail: bytes = b""
    hang_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Gzip:
    """Answer with ``content-encoding: gzip``, asked for or not."""


Fault = Refuse | Hang | StopMidStream | Gzip
