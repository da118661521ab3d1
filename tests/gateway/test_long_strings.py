"""The two ends of a string, as the standard library unpacks it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routecast.gateway import long_strings
from routecast.gateway.long_strings import join_ends, read_string


@contextmanager
def slices_of(n_bytes: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_strings, "_SLICE_BYTES", n_bytes)
        patch.setattr(long_strings, "MAX_RUN_BYTES", 0)
        yield


pieces = st.sampled_from(
    ["a", "é", "日", "\U0001f600", "\\", '"', "\n", "\x00", "u0041", "\ud83d", "\ude00", "\ud83dx"]
)


@pytest.mark.parametrize("slice_bytes", [18, 19, 20, 21, 23, 64])
@pytest.mark.parametrize("ascii_only", [True, False])
@given(drawn=st.lists(pieces, max_size=40))
@example(drawn=["\ud83d", "\U0001f600", "\ude00", "a"] * 5)
def test_a_string_is_unpacked_whole_however_it_is_sliced(
    slice_bytes: int, ascii_only: bool, drawn: list[str]
) -> None:
    string = json.dumps("".join(drawn), ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    with slices_of(slice_bytes):
        # Raw surrogates that do not pair in UTF-8 stay two, so the standard library is asked.
        assert read_string(string, max_characters=10_000) == json.loads(string)


@given(drawn=st.lists(pieces, max_size=60), max_characters=st.integers(0, 40).map(lambda n: 2 * n))
def test_of_a_long_string_the_ends_are_as_sent(drawn: list[str], max_characters: int) -> None:
    string = json.dumps("".join(drawn)).encode()
    whole, half = json.loads(string), max_characters // 2
    with slices_of(20):
        text = read_string(string, max_characters=max_characters)
    assert text is not None
    if len(whole) <= max_characters:
        assert text == whole
    else:
        assert len(text) >= max_characters
        assert text[:half] == whole[:half]
        assert text[len(text) - half :] == whole[len(whole) - half :]


@pytest.mark.parametrize(
    "string",
    [b"", b'"', b"null", b"[]", b"7", b'"a', b'a"', b'"\\x"', b'"\\u12g4"', b'"\\u12"', b'"\\"',
     b'"a"b"', b'"\xff"', b'"' + b"\x80" * 40 + b'"', b'"\\ud83d\\u"', b"[" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("is_sliced", [True, False])
def test_what_is_no_string_has_no_text(string: bytes, is_sliced: bool) -> None:
    if is_sliced:
        with slices_of(20):
            assert read_string(string, max_characters=100) is None
    else:
        assert read_string(msgspec.Raw(string), max_characters=100) is None


@given(st.lists(st.text(max_size=9), max_size=30), st.integers(0, 30).map(lambda n: 2 * n))
@example(["a", "", "b"], 2)
@example([""], 0)
def test_of_many_texts_the_ends_are_joined(texts: list[str], max_characters: int) -> None:
    whole, half = ", ".join(texts), max_characters // 2
    joined = join_ends(texts, ", ", max_characters=max_characters)
    if sum(map(len, texts)) <= max_characters:
        assert joined == whole
    assert len(joined) <= len(whole)
    assert joined[:half] == whole[:half]
    assert joined[len(joined) - half :] == whole[len(whole) - half :]


def test_of_very_many_texts_few_are_kept() -> None:
    # Ten characters are wanted: five texts of one from the front, more than five from the back.
    assert join_ends("abcdefghij" * 9, "", max_characters=10) == "abcde" + "efghij"
