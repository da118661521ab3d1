"""Public test doubles: upstreams that answer without a model."""

from routecast.testing.faults import (
    BreakChunks,
    Dribble,
    Enlarge,
    Fault,
    Gzip,
    Hang,
    HangAfterHead,
    HangUp,
    Pause,
    Refuse,
    StopMidStream,
)
from routecast.testing.first_tokens import FakeFirstTokens
from routecast.testing.loopback import serve_on_loopback, serve_upstream
from routecast.testing.upstream import FakeUpstream, RecordedRequest

__all__ = [
    "BreakChunks",
    "Dribble",
    "Enlarge",
    "FakeFirstTokens",
    "FakeUpstream",
    "Fault",
    "Gzip",
    "Hang",
    "HangAfterHead",
    "HangUp",
    "Pause",
    "RecordedRequest",
    "Refuse",
    "StopMidStream",
    "serve_on_loopback",
    "serve_upstream",
]
