"""``ask_usage``: the one thing that the gateway adds to a request, and takes out of the answer.

Streams of ``/v1/chat/completions`` and ``/v1/completions`` tell their token usage only when
``stream_options.include_usage`` asks for it; they then end with one chunk more, without choices.
"""

import json
import re

from routecast.gateway.events import EventCutter
from routecast.gateway.exchange import Usage
from routecast.gateway.toplevel import top_level_members

_ASKED = b'"include_usage":true'
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)|.+", re.DOTALL)
_DATA = re.compile(rb"(?:^|[\r\n])data:([^\r\n]*)")
_SPACE = b" \t\r\n"


def ask_for_usage(body: bytes) -> bytes | None:
    """Return a streamed request that asks for its usage too.

    Every byte of the body stands as sent but for what must be added, or a false
    ``include_usage``.

    Args:
        body: A JSON object.

    Returns:
        None where there is nothing to add: the request does not stream, asks for its usage
        itself, or holds ``stream_options`` that are no object, which is for the upstream to
        refuse.
    """
    members = top_level_members(body, ("stream", "stream_options"))
    streams = [body[m.start : m.end] for m in members if m.key == "stream"]
    if not streams or streams[-1] != b"true":
        return None
    options = [m for m in members if m.key == "stream_options"]
    if not options:
        start = body.index(b"{") + 1
        return b"%s%b,%s" % (body[:start], b'"stream_options":{%s}' % _ASKED, body[start:])
    start, end = options[-1].start, options[-1].end
    asked = _ask_in_options(body[start:end])
    return None if asked is None else body[:start] + asked + body[end:]


def _ask_in_options(options: bytes) -> bytes | None:
    """Return the value of ``stream_options`` with the question in it; None to leave it alone."""
    if options == b"null":
        return b"{%s}" % _ASKED
    if not options.startswith(b"{"):
        return None
    members = [m for m in top_level_members(options, ("include_usage",)) if m.key in _NAMES]
    if not members:
        comma = b"" if options[1:-1].strip(_SPACE) == b"" else b","
        return b"{" + _ASKED + comma + options[1:]
    last = members[-1]
    if options[last.start : last.end] == b"true":
        return None
    return options[: last.start] + b"true" + options[last.end :]


_NAMES = frozenset({"include_usage"})


class UsageChunkFilter:
    """A tap that takes the extra chunk out of a stream, and changes nothing else.

    Attributes:
        usage: None: that is for ``UsageReader`` to say, which stands before this tap.
    """

    usage: Usage | None = None

    def __init__(self) -> None:
        """Begin at the start of a stream of server-sent events, not compressed."""
        self._cutter = EventCutter()

    def feed(self, chunk: bytes) -> bytes:
        """Return what of the stream may be sent now: whole events, but for huge ones."""
        events = self._cutter.feed(chunk)
        if b'"usage"' not in events:
            return events
        return b"".join(event for event in _EVENT.findall(events) if not _is_extra(event))

    def finish(self) -> bytes:
        """Return what is held back at the end of the stream."""
        rest = self._cutter.flush()
        return b"" if _is_extra(rest) else rest


def _is_extra(event: bytes) -> bool:
    """Return whether an event is the chunk with the usage and no choices."""
    if b'"usage"' not in event:
        return False
    try:
        chunk = json.loads(b"\n".join(_DATA.findall(event)))
    except (ValueError, RecursionError):
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and bool(chunk.get("usage"))
