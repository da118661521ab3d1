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
class HangUp:
    """Take the request, then end the connection without an answer.

    Attributes:
        reset: By a TCP reset, as a crashed host does, instead of a proper close.
    """

    reset: bool = False


@dataclass(frozen=True, kw_only=True)
class HangAfterHead:
    """Send status and headers, then nothing for ``duration_s`` seconds, then the body.

    Attributes:
        duration_s: Of silence.
        drop: End the connection then, and send no body.
    """

    duration_s: float = 0.0
    drop: bool = False


@dataclass(frozen=True, kw_only=True)
class StopMidStream:
    """Drop the connection after some of the answer.

    Attributes:
        n_events: Whole server-sent events sent before the end; of a plain answer, half the body
            is sent whatever this says.
        tail: Bytes of an unfinished event sent after them.
        hang_s: Seconds of silence before the connection is dropped.
        reset: Drop it by a TCP reset.
    """

    n_events: int = 2
    tail: bytes = b""
    hang_s: float = 0.0
    reset: bool = False


@dataclass(frozen=True, kw_only=True)
class BreakChunks:
    """Break HTTP's chunked encoding after ``n_events`` events, or in the middle of a document."""

    n_events: int = 2


@dataclass(frozen=True, kw_only=True)
class Dribble:
    """Send the answer byte by byte.

    Attributes:
        delay_s: Seconds before each byte.
        n_bytes: How many bytes are sent so; the rest follows at once.
    """

    delay_s: float
    n_bytes: int = 10


@dataclass(frozen=True, kw_only=True)
class Pause:
    """Fall silent for ``duration_s`` seconds after ``n_events`` events, then go on."""

    duration_s: float
    n_events: int = 2


@dataclass(frozen=True, kw_only=True)
class Enlarge:
    """Answer with ``n_bytes`` more, which mean nothing: white space, or comments of a stream."""

    n_bytes: int


@dataclass(frozen=True, kw_only=True)
class Gzip:
    """Answer with ``content-encoding: gzip``, asked for or not."""


Fault = (
    Refuse
    | Hang
    | HangUp
    | HangAfterHead
    | StopMidStream
    | BreakChunks
    | Dribble
    | Pause
    | Enlarge
    | Gzip
)
