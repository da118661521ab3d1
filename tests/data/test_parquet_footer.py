"""The size that a Parquet file says it unpacks to."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest

from routecast.data.parquet_footer import unpacked_bytes

Compression = Literal["gzip", "lz4", "snappy", "uncompressed", "zstd"]


def write(path: Path, *, compression: Compression = "zstd", n_rows: int = 5000) -> Path:
    table = pl.DataFrame(
        {
            "prompt": [f"{n:07d}" + "x" * 93 for n in range(n_rows)],
            "quality|a": [0.5, None] * (n_rows // 2),
            "flag": [True, False] * (n_rows // 2),
            "parts": [[n, n + 1] for n in range(n_rows)],
        }
    )
    table.write_parquet(path, compression=compression, row_group_size=2000)
    return path


def test_without_compression_it_is_the_file_but_for_head_and_footer(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", compression="uncompressed")
    content = path.read_bytes()
    n_footer = int.from_bytes(content[-8:-4], "little")
    assert unpacked_bytes(path) == pytest.approx(len(content) - n_footer - 12, rel=0.01)


def test_compression_makes_no_difference_to_it(tmp_path: Path) -> None:
    plain = unpacked_bytes(write(tmp_path / "t.parquet", compression="uncompressed"))
    for compression in ("zstd", "lz4", "snappy"):
        packed = write(tmp_path / f"{compression}.parquet", compression=compression)
        assert unpacked_bytes(packed) == pytest.approx(plain, rel=0.01)
        assert packed.stat().st_size < plain / 2


def test_a_table_without_rows_unpacks_to_nothing(tmp_path: Path) -> None:
    pl.DataFrame({"prompt": []}, schema={"prompt": pl.String}).write_parquet(tmp_path / "t.parquet")
    assert unpacked_bytes(tmp_path / "t.parquet") < 100


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 8, b"x" * 100, b"\0" * 20])
def test_another_file_has_no_footer(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ValueError, match="footer"):
        unpacked_bytes(tmp_path / "t")


def test_a_damaged_footer_is_refused_or_read_and_ends_in_any_case(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", n_rows=2)
    whole = path.read_bytes()
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    generator = np.random.default_rng(3)
    n_refused = 0
    for place in generator.integers(8 * start, 8 * (len(whole) - 8), size=400).tolist():
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            unpacked_bytes(path)
        except ValueError:
            n_refused += 1
    assert n_refused > 20


@pytest.mark.parametrize(
    "footer",
    [
        b"\x49\xfc" + b"\xff" * 9 + b"\x01",  # a list of 2^60 structs
        b"\x19\xf1" + b"\xff" * 8 + b"\x7f",  # of as many truth values
        b"\x1c" * 5000,  # structs in structs in structs
        b"\x18" + b"\xff" * 9 + b"\x01",  # a text of 2^63 bytes
    ],
)
def test_a_footer_that_promises_more_than_there_is_ends_at_once(
    tmp_path: Path, footer: bytes
) -> None:
    tail = len(footer).to_bytes(4, "little") + b"PAR1"
    (tmp_path / "t").write_bytes(b"PAR1" + footer + tail)
    with pytest.raises(ValueError, match="footer"):
        unpacked_bytes(tmp_path / "t")
