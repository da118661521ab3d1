"""Public test doubles: upstreams that answer without a model."""

from routecast.testing.faults import Fault, Gzip, Hang, Refuse, StopMidStream
from routecast.testing.first_tokens import FakeFirstTokens
from routecast.testing.loopback import serve_on_loopback, serve_upstream
from routecast.testing.upstream import FakeUpstream, RecordedRequest

__all__ = [
    "FakeFirstTokens",
    "FakeUpstream",
    "Fault",
    "Gzip",
    "Hang",
    "RecordedRequest",
    "Refuse",
    "StopMidStream",
    "serve_on_loopback",
    "serve_upstream",
]
