import re
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from routecast.routers.blend_words import N_WORD_SLOTS, word_keys, word_slots


def slots_of(*words: str) -> list[int]:
    return [crc32(word.encode()) % N_WORD_SLOTS for word in words]


def test_words_are_taken_whatever_their_case() -> None:
    assert word_slots("Tea, TEA: na\u00efve\n2x_3") == slots_of("tea", "tea", "na\u00efve", "2x_3")
    assert word_slots("\ud800 ?! \U0001f600") == word_slots("") == []


def test_a_known_checksum_gives_its_slot() -> None:
    # The check value of CRC-32 is that of "123456789": 0xCBF43926, whose last 12 bits are 0x926.
    assert word_slots("123456789") == [0x926]


@given(st.text(max_size=200))
def test_words_are_those_that_a_regular_expression_finds(text: str) -> None:
    found = re.findall(r"\w+", text.lower())
    assert word_slots(text) == [crc32(word.encode()) % N_WORD_SLOTS for word in found]


def test_a_long_word_is_read_and_not_remembered() -> None:
    word = "x" * 1_000
    assert word_slots(word) == word_slots(word) == slots_of(word)


def test_keys_say_which_text_a_word_is_of() -> None:
    tea, cup = slots_of("tea", "cup")
    assert word_keys(["tea", "", "cup tea"]).tolist() == [tea, 8_192 + cup, 8_192 + tea]
    assert word_keys(["", ""]).tolist() == []
