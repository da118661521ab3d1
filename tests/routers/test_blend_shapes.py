import re
from itertools import pairwise
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from routecast.routers.blend_shapes import N_SHAPE_SLOTS, shape_keys

PIECE = re.compile(r"[A-Za-z]+|\d+|\n|[^\sA-Za-z\d]")


def slots_of(*shapes: str) -> list[int]:
    """The slots of shapes, and of pairs when they are written so."""
    return sorted(crc32(one.encode("utf-8", "surrogatepass")) % N_SHAPE_SLOTS for one in shapes)


def shape_of(piece: str) -> str:
    if piece.isdecimal():
        return f"d{min(len(piece), 4)}"
    if not (piece.isascii() and piece.isalpha()):
        return piece
    is_upper = piece.isupper() and len(piece) > 1
    case = "AA" if is_upper else "Aa" if piece[0].isupper() else "a"
    return f"{case}{1 + (len(piece) > 3) + (len(piece) > 7)}"


def slowly(text: str) -> list[int]:
    """Piece by piece, with a regular expression."""
    shapes = [shape_of(piece) for piece in PIECE.findall(text)]
    return slots_of(*shapes, *(f"{first} {second}" for first, second in pairwise(shapes)))


def test_shapes_of_a_short_prompt_worked_by_hand() -> None:
    # "is" up to 3 small letters, "USA" two capitals or more, "Paris" a first capital and 4 to 7,
    # "I" one capital alone, 12345 five digits counted as four.
    assert sorted(shape_keys(["is USA, Paris I\n12345 \u00e9"])) == slots_of(
        *("a1", "AA1", ",", "Aa2", "Aa1", "\n", "d4", "\u00e9"),
        *("a1 AA1", "AA1 ,", ", Aa2", "Aa2 Aa1", "Aa1 \n", "\n d4", "d4 \u00e9"),
    )
    assert sorted(shape_keys(["iPhone elephant"])) == slots_of("a2", "a3", "a2 a3")


def test_two_in_a_row_have_the_checksum_of_both_with_a_space_between() -> None:
    # Marks of one byte to four, each after each: the checksum is put together from halves.
    marks = ("-", "\u00e9", "\u4e2d", "\U0001f600", "\ud800")
    for first in marks:
        for second in marks:
            expected = slots_of(first, second, f"{first} {second}")
            assert sorted(shape_keys([first + " " + second])) == expected


ODD = st.sampled_from(
    "aZ9 \n\t\x00\x1c\x85\u00a0\u0663\u00e9\u4e2d\U0001d7d8\U0001f600\ud800\udfff!"
)


@given(
    st.one_of(st.text(max_size=120), st.text(ODD, max_size=60), st.text("aBC1 ,\n", max_size=60))
)
def test_shapes_are_those_that_a_regular_expression_finds(text: str) -> None:
    assert sorted(shape_keys([text])) == slowly(text)


@given(
    st.lists(st.text(st.sampled_from("aB1 ,\n\u00e9\u4e2d"), max_size=20), min_size=1, max_size=6)
)
def test_texts_of_one_call_do_not_touch_one_another(texts: list[str]) -> None:
    alone = [row * N_SHAPE_SLOTS + slot for row, one in enumerate(texts) for slot in slowly(one)]
    assert sorted(shape_keys(texts)) == sorted(alone)
