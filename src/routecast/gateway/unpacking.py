"""Unpacking of answers that come in gzip or deflate, as they pass."""

import zlib
from collections.abc import Iterator
from typing import Final

PACKED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
"""The values of ``content-encoding`` that can be unpacked."""

_MAX_PIECE_BYTES: Final = 1 << 16


class Unpacker:
    """Unpacks one answer, chunk by chunk.

    Attributes:
        is_whole: Whether everything so far was unpacked. False once a chunk was broken or unpacked
            to more than was allowed; nothing is unpacked from then on.
    """

    def __init__(self) -> None:
        """Begin at the start of an answer."""
        # 32 + 15: a gzip or zlib header tells which of the two it is
        self._stream = zlib.decompressobj(32 + zlib.MAX_WBITS)
        self.is_whole = True

    def pieces(self, packed: bytes, *, max_bytes: int) -> Iterator[bytes]:
        """Yield what the next chunk unpacks to, in pieces of at most 64 KiB.

        Args:
            packed: The chunk.
            max_bytes: How many bytes it may unpack to; no more are yielded.
        """
        n_left, has_more = max_bytes, self.is_whole and bool(packed)
        while has_more:
            if n_left <= 0:
                self.is_whole = not packed
                return
            limit = min(n_left, _MAX_PIECE_BYTES)
            try:
                plain = self._stream.decompress(packed, limit)
            except zlib.error:
                self.is_whole = False
                return
            packed = self._stream.unconsumed_tail
            n_left -= len(plain)
            has_more = bool(packed) or len(plain) == limit
            yield plain
