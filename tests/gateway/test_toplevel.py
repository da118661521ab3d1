"""Top-level members of a JSON object, found without a parser."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.errors import RequestError
from routecast.gateway import toplevel
from routecast.gateway.toplevel import MAX_LEVELS, Member, top_level_members

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


def nested(opening: bytes, n_times: int) -> bytes:
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), b'"a:model1,')[::-1]
    return b'{"x":' + opening * n_times + b"1" + closing * n_times + b',"a":7}'


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b"[1,", b'[{"model":'])
def test_a_thousand_levels_pass_and_nine_more_are_refused(opening: bytes) -> None:
    n_brackets = sum(opening.count(bracket) for bracket in (b"[", b"{"))
    n_times = MAX_LEVELS // n_brackets
    body = nested(opening, n_times)
    (member,) = top_level_members(body, ["a"])
    assert body[member.start : member.end] == b"7"
    with pytest.raises(RequestError, match="more than 1000 levels") as caught:
        top_level_members(nested(opening, n_times + 9), ["a"])
    assert (caught.value.status, caught.value.code) == (400, "nested_too_deep")


def test_what_follows_too_deep_a_nesting_is_not_looked_at() -> None:
    with pytest.raises(RequestError, match="levels"):
        top_level_members(b'{"x":' + b"[" * (MAX_LEVELS + 1) + b'}"', ["a"])


@given(
    st.lists(st.sampled_from(["[]", "[[[[[[7]]]]]]", '{"]":[{}]}', '"[["', '"\\""', "1"])),
    st.integers(1, 30),
)
def test_long_values_end_where_the_standard_library_says(pieces: list[str], n_times: int) -> None:
    value = f"[{','.join(pieces * n_times)}]"
    for _ in range(n_times):
        value = f'[0,{{"a":{value}}},[[]],[[[[1]]]]]'
    body = f'{{"b":{value},"a":[7]}}'.encode()
    _, end = json.JSONDecoder().raw_decode(value)
    assert [(m.key, m.start, m.end) for m in top_level_members(body, ["a", "b"])] == [
        ("b", 5, 5 + end),
        ("a", 5 + end + 5, len(body) - 1),
    ]
    for cut in (b"", b"}"):
        with pytest.raises(ValueError, match=r"closed|expected"):
            top_level_members(body[: 5 + end - 1] + cut + b"}", ["a"])


@pytest.mark.parametrize("slice_bytes", [2, 3, 7, 64])
@given(document=st.dictionaries(st.text(max_size=3), values, max_size=3))
def test_members_are_found_however_a_body_is_sliced(
    slice_bytes: int, document: dict[str, object]
) -> None:
    body = json.dumps({**document, "end": '\\"[' * 9}).encode()
    names = {key.lower() for key in document} | {"end"}
    whole = top_level_members(body, names)
    before = toplevel._SLICE_BYTES
    toplevel._SLICE_BYTES = slice_bytes
    try:
        assert top_level_members(body, names) == whole
    finally:
        toplevel._SLICE_BYTES = before


@pytest.mark.parametrize(
    "piece", [b"[],", b"{},", b"[[]],", b'[{"":[]}],', b'"",', b'"\\n",', b"1,", b"[[[[]]]],",
     b"[1," * 90 + b"1" + b"]" * 90 + b",", b'[{"]":' * 20 + b"{}" + b"}]" * 20 + b","]
)  # fmt: skip
def test_a_wide_value_is_found_whole(piece: bytes) -> None:
    value = b"[" + piece * (1_000_000 // len(piece)) + b"0]"
    (member,) = top_level_members(b'{"b":0,"a":' + value + b',"c":1}', ["a"])
    assert (member.start, member.end) == (11, 11 + len(value))
