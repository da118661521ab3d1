"""Which headers pass."""

from routecast.gateway.headers import (
    add_headers,
    client_headers,
    decision_headers,
    upstream_headers,
)
from routecast.policy.decide import Decision, Reason


def test_the_client_s_credentials_and_hop_by_hop_headers_stay_here() -> None:
    headers = [
        (b"host", b"127.0.0.1:6060"), (b"authorization", b"Bearer client"), (b"x-api-key", b"k"),
        (b"api-key", b"k"), (b"x-goog-api-key", b"k"), (b"cookie", b"a=b"),
        (b"x-routecast-threshold", b"0.3"), (b"x-routecast-anything", b"x"),
        (b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"), (b"trailer", b"x"), (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"), (b"proxy-authorization", b"Basic x"), (b"expect", b"100-continue"),
        (b"proxy-connection", b"keep-alive"), (b"content-length", b"10"),
    ]  # fmt: skip
    assert upstream_headers(headers, []) == []


def test_all_other_headers_pass_in_order_and_repeated() -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"openai-organization", b"org"),
        (b"accept-encoding", b"br"),
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
        (b"x-name", "é".encode()),
        (b"x-name-in-latin-1", b"\xe9"),
    ]
    own = [(b"authorization", b"Bearer upstream")]
    assert upstream_headers(headers, own) == headers + own


def test_the_upstream_s_end_to_end_headers_pass() -> None:
    headers = [
        (b"content-type", b"text/plain"), (b"retry-after", b"3"), (b"content-length", b"5"),
        (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"transfer-encoding", b"chunked"),
        (b"connection", b"x-hop"), (b"x-hop", b"1"), (b"keep-alive", b"timeout=5"),
        (b"x-routecast-model", b"an upstream must not speak for us"),
        (b"access-control-allow-origin", b"*"),
    ]  # fmt: skip
    assert client_headers(headers) == [
        (b"content-type", b"text/plain"),
        (b"retry-after", b"3"),
        (b"content-length", b"5"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
    ]


def test_a_decision_is_told_in_five_headers() -> None:
    decision = Decision("weak", 0.1234567, 0.5, Reason.BELOW_THRESHOLD)
    assert decision_headers(decision, "abc") == [
        (b"x-routecast-decision", b"abc"),
        (b"x-routecast-model", b"weak"),
        (b"x-routecast-reason", b"below_threshold"),
        (b"x-routecast-win-probability", b"0.123457"),
        (b"x-routecast-threshold", b"0.5"),
    ]


def test_what_was_not_scored_has_no_score() -> None:
    names = {name for name, _ in decision_headers(Decision("a", None, None, Reason.DIRECT), "abc")}
    assert names == {b"x-routecast-decision", b"x-routecast-model", b"x-routecast-reason"}


def test_a_stand_in_is_named_with_the_reason_that_it_is_one() -> None:
    decision = Decision("strong", 0.9, 0.5, Reason.REACHES_THRESHOLD)
    assert decision_headers(decision, "abc", answered_by="weak")[1:3] == [
        (b"x-routecast-model", b"weak"),
        (b"x-routecast-reason", b"fallback"),
    ]


def test_ours_are_added_where_the_upstream_has_none_of_that_name() -> None:
    upstreams = [(b"x-request-id", b"theirs"), (b"a", b"1"), (b"a", b"2")]
    assert add_headers(upstreams, [(b"x-request-id", b"ours"), (b"b", b"3")]) == [
        (b"x-request-id", b"theirs"),
        (b"a", b"1"),
        (b"a", b"2"),
        (b"b", b"3"),
    ]
