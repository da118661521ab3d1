"""Which headers pass, in both directions.

End-to-end headers do. Hop-by-hop ones (RFC 9110, section 7.6.1) belong to one connection. The
client's own credentials and cookies are for the gateway, never for the upstream.
"""

from functools import lru_cache

from routecast.policy.decide import Decision, Reason

RawHeaders = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_CLIENT_ONLY = _HOP_BY_HOP | {
    b"api-key",
    b"authorization",
    b"content-length",
    b"cookie",
    b"expect",
    b"host",
    b"x-api-key",
    b"x-goog-api-key",
}
_OURS = b"x-routecast-"
MODEL_HEADER = b"x-routecast-model"
"""Names the model that answered."""

# An upstream's own CORS headers would let web pages read what the gateway does not let them.
_NEVER_TO_CLIENT = (_OURS, b"access-control-")


def upstream_headers(headers: RawHeaders, own: RawHeaders) -> RawHeaders:
    """Return what goes upstream: the client's end-to-end headers, then the upstream's own key.

    Args:
        headers: The client's, names in lower case.
        own: What identifies us to the upstream.
    """
    passed = [header for header in headers if _passes_upstream(header[0])]
    for name, value in headers:
        if name == b"connection" and value != b"keep-alive":
            return upstream_headers(_without_named(headers), own)
    return passed + own


@lru_cache(maxsize=1024)
def _passes_upstream(name: bytes) -> bool:
    return name not in _CLIENT_ONLY and not name.startswith(_OURS)


def _without_named(headers: RawHeaders) -> RawHeaders:
    """Leave out ``Connection`` and the further hop-by-hop headers that it lists."""
    listed = b",".join(value for name, value in headers if name == b"connection")
    hops = {b"connection", *(token.strip() for token in listed.lower().split(b","))}
    return [header for header in headers if header[0] not in hops]


def client_headers(headers: RawHeaders, *, secret: bytes | None = None) -> RawHeaders:
    """Return the upstream's end-to-end headers.

    Args:
        headers: The upstream's, names in lower case.
        secret: Headers whose value holds it are left out.
    """
    for name, _ in headers:
        if name == b"connection":
            headers = _without_named(headers)
            break
    if secret is None:
        return [header for header in headers if _passes_to_client(header[0])]
    return [
        header for header in headers if _passes_to_client(header[0]) and secret not in header[1]
    ]


@lru_cache(maxsize=1024)
def _passes_to_client(name: bytes) -> bool:
    return name not in _HOP_BY_HOP and not name.startswith(_NEVER_TO_CLIENT)


def add_headers(headers: RawHeaders, own: RawHeaders) -> RawHeaders:
    """Return an answer's headers with ours, where the upstream has none of that name."""
    present = {name for name, _ in headers}
    return headers + [header for header in own if header[0] not in present]


def decision_headers(
    decision: Decision, decision_id: str, *, answered_by: str | None = None
) -> RawHeaders:
    """Return the headers that tell the client which model answers, and why.

    Args:
        decision: Which model was chosen.
        decision_id: Names the decision in the logs.
        answered_by: The model that stands in for the chosen one, or None.
    """
    model, reason = decision.model, decision.reason
    if answered_by is not None:
        model, reason = answered_by, Reason.FALLBACK
    headers = [
        (b"x-routecast-decision", decision_id.encode()),
        (MODEL_HEADER, model.encode()),
        (b"x-routecast-reason", reason.encode()),
    ]
    if decision.win_probability is not None:
        headers.append((b"x-routecast-win-probability", b"%.6g" % decision.win_probability))
    if decision.threshold is not None:
        headers.append((b"x-routecast-threshold", b"%.6g" % decision.threshold))
    return headers
