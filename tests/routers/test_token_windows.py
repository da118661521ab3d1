from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.errors import ArtifactError, ConfigError
from routecast.routers.token_windows import (
    TokenWindows,
    keep_head_and_tail,
    open_token_windows,
    read_tokenizer,
)


@pytest.fixture
def windows(tiny_encoder: Path) -> TokenWindows:
    return open_token_windows(tiny_encoder, max_tokens=8)


def words(windows: TokenWindows, ids: list[int]) -> str:
    return " ".join(str(windows.tokenizer.id_to_token(token)) for token in ids)


def test_the_middle_is_left_out_and_an_odd_one_goes_to_the_head() -> None:
    ids = [1, 2, 3, 4, 5, 6, 7]
    assert keep_head_and_tail(ids, 7) == ids
    assert keep_head_and_tail(ids, 4) == [1, 2, 6, 7]
    assert keep_head_and_tail(ids, 5) == [1, 2, 3, 6, 7]
    assert keep_head_and_tail(ids, 1) == [1]


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 30))
def test_what_is_kept_is_a_head_and_a_tail(ids: list[int], max_tokens: int) -> None:
    kept = keep_head_and_tail(ids, max_tokens)
    n_tail = max_tokens // 2
    n_head = max_tokens - n_tail
    assert len(kept) == min(len(ids), max_tokens)
    assert kept == ids or (
        kept[:n_head] == ids[:n_head] and kept[n_head:] == ids[len(ids) - n_tail :]
    )


def test_special_tokens_stand_around_head_and_tail(windows: TokenWindows) -> None:
    (ids,) = windows.windows(["prove number of rice in gardens words music maps"])
    # 8 tokens, 2 of them special: 3 words of the head and 3 of the tail.
    assert words(windows, ids) == "[CLS] prove number of words music maps [SEP]"


def test_a_short_text_is_whole(windows: TokenWindows) -> None:
    (ids,) = windows.windows(["prove rice"])
    assert words(windows, ids) == "[CLS] prove rice [SEP]"
    assert not windows.cut("prove rice")


def test_what_is_cut_is_counted(windows: TokenWindows) -> None:
    cut = windows.cut("prove number of rice in gardens words music maps")
    assert (cut.n_tokens, cut.n_characters) == (3, 0)  # 9 words, 6 kept
    assert windows.cut("rice " * 1000).n_characters == 5000 - 2 * 6 * 64


def test_a_huge_text_keeps_its_two_ends(windows: TokenWindows) -> None:
    (ids,) = windows.windows(["prove number of " + "rice " * 5000 + "words music maps"])
    assert words(windows, ids) == "[CLS] prove number of words music maps [SEP]"


def test_special_tokens_in_a_prompt_are_plain_text(windows: TokenWindows) -> None:
    (ids,) = windows.windows(["[SEP] [CLS]"])
    assert ids.count(windows.suffix[0]) == 1
    assert ids.count(windows.prefix[0]) == 1


@pytest.mark.parametrize("text", ["", " ", "\ud83d", "\ud83d\ude00", "\x00\x01", "é" * 50])
def test_any_text_has_a_window(windows: TokenWindows, text: str) -> None:
    (ids,) = windows.windows([text])
    assert 2 <= len(ids) <= 8
    windows.cut(text)


def test_fixed_ids_may_be_an_instruction(windows: TokenWindows) -> None:
    asked = replace(windows, max_tokens=9, prefix=(2, 5, 6), suffix=(7, 3))
    (ids,) = asked.windows(["prove number of rice in gardens"])
    assert ids[:3] == [2, 5, 6]
    assert ids[-2:] == [7, 3]
    assert asked.n_text_tokens == 4
    assert words(asked, ids[3:-2]) == "prove number in gardens"
    assert asked.text_windows(["rice"]) == [ids_of(windows, "rice")]


def ids_of(windows: TokenWindows, text: str) -> list[int]:
    return list(windows.tokenizer.encode(text, add_special_tokens=False).ids)


def test_no_text_gives_no_window(windows: TokenWindows) -> None:
    assert windows.windows([]) == []


def test_a_window_without_room_is_refused(tiny_encoder: Path) -> None:
    with pytest.raises(ConfigError, match=r"length 3 leaves no room .*give at least 4"):
        open_token_windows(tiny_encoder, max_tokens=3)


def test_a_missing_or_damaged_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no tokenizer\.json"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is no tokenizer"):
        read_tokenizer(tmp_path)
