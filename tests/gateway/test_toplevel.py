"""Top-level members of a JSON object, found without a parser."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.toplevel import Member, top_level_members

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_members_are_found_where_they_stand() -> None:
    body = b'{"a": 1, "b": {"a": 2}, "a":[3]}'
    # Position 6 holds the 1; 27 to 30 hold [3]; the a inside b is not at the top.
    assert top_level_members(body, ["a"]) == [Member("a", 6, 7), Member("a", 28, 31)]
    assert body[28:31] == b"[3]"


def test_keys_are_unescaped_and_found_in_any_case() -> None:
    members = top_level_members(rb'{"\u0061": 1, "A": 2, "\u0041": 3}', ["a"])
    assert [member.key for member in members] == ["a", "A", "A"]


def test_an_empty_object_has_no_members() -> None:
    assert top_level_members(b" { } ", ["a"]) == []


@given(st.dictionaries(st.text(), values, max_size=6), st.sampled_from([None, 2, "\t"]))
def test_members_are_those_that_the_standard_library_reads(
    document: dict[str, object], indent: int | str | None
) -> None:
    body = json.dumps(document, indent=indent, ensure_ascii=False).encode("utf-8", "surrogatepass")
    members = top_level_members(body, {key.lower() for key in document})
    assert [(m.key, json.loads(body[m.start : m.end])) for m in members] == [*document.items()]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b'"a"', b"{", b"}", b'{"a"}', b'{"a":}', b'{"a":1', b'{"a":1,}',
        b'{"a":1 "b":2}', b'{a:1}', b'{"a":[}', b'{"a":{]}', b'{"a":[1}', b'{"a":"x}', b'{"a":1}}',
        b'{"a":1} {"b":2}', b'{"a":1}x', b'{"a":["x]}', b'{,"a":1}', b'{"a"::1}', b'{"\\u00":1}',
        b'\xef\xbb\xbf{"a":1}', '{"a":1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"expected|closed|follows|escape"):
        top_level_members(body, ["a"])


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"model":'])
def test_nesting_is_never_too_deep(opening: bytes) -> None:
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), b'"a:modelM ')[::-1]
    body = b'{"x":' + opening * 50_000 + b"1" + closing * 50_000 + b',"a":7}'
    (member,) = top_level_members(body, ["a"])
    assert body[member.start : member.end] == b"7"
