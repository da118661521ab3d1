"""Packed answers, chunk by chunk."""

import gzip
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.unpacking import Unpacker


def unpack(packed: bytes, *, size: int, max_bytes: int = 1 << 30) -> tuple[bytes, bool]:
    """Return what chunks of a size unpack to, and whether that is all."""
    unpacker, plain = Unpacker(), b""
    for start in range(0, len(packed), size):
        plain += b"".join(unpacker.pieces(packed[start : start + size], max_bytes=max_bytes))
    return plain, unpacker.is_whole


@given(st.binary(max_size=300), st.integers(1, 400), st.booleans())
def test_any_chunks_give_the_whole(plain: bytes, size: int, is_gzip: bool) -> None:
    packed = gzip.compress(plain) if is_gzip else zlib.compress(plain)
    assert unpack(packed, size=size) == (plain, True)


@pytest.mark.parametrize("plain", [bytes(1 << 20), os.urandom(1 << 16) * 3])
def test_what_outgrows_a_piece_comes_in_several(plain: bytes) -> None:
    packed = gzip.compress(plain)
    pieces = list(Unpacker().pieces(packed, max_bytes=1 << 30))
    assert max(map(len, pieces)) == 1 << 16
    assert b"".join(pieces) == plain


@pytest.mark.parametrize(("max_bytes", "is_whole"), [(999, False), (1000, True), (1001, True)])
def test_no_more_than_is_allowed_comes_of_a_chunk(max_bytes: int, is_whole: bool) -> None:
    packed = zlib.compress(bytes(1000))
    plain, whole = unpack(packed, size=len(packed), max_bytes=max_bytes)
    assert len(plain) == min(max_bytes, 1000)
    assert whole is is_whole


def test_after_a_broken_chunk_nothing_comes() -> None:
    unpacker = Unpacker()
    assert list(unpacker.pieces(b"this is no gzip", max_bytes=100)) == []
    assert not unpacker.is_whole
    assert list(unpacker.pieces(gzip.compress(b"text"), max_bytes=100)) == []
