"""Normalising, hashing, and finding benchmark questions in training data."""

from hashlib import blake2b
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.leakage import (
    MIN_CHARS,
    contained_questions,
    normalise_prompt,
    prompt_hash64,
    prompt_hashes64,
    question_stem,
)
from routecast.data.readers.registry import find_reader
from routecast.evaluate.benchmarks import load_benchmark

LONG = "What is the largest prime number below one hundred?"
SHORT = "What is this?"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Hello, World_2!", "helloworld2"),
        ("ＡＢＣ １２３", "abc123"),  # full width
        ("Cafe\u0301", "café"),  # a combining accent joins its letter
        ("½ ﬁ", "12fi"),  # 1, fraction slash, 2: the slash is dropped
        ("日本語 と emoji 🙂", "日本語とemoji"),
        ("\ud800a\x00b\u200b", "ab"),
        ("ÄÖ ẞ", "äöß"),
        ("?!  \n", ""),
        ("", ""),
    ],
)
def test_only_lower_case_letters_and_digits_are_left(text: str, normal: str) -> None:
    assert normalise_prompt(text) == normal


@settings(deadline=None)  # other work may share the machine
@given(st.text())
def test_a_normalised_text_is_letters_and_digits_only_and_can_be_encoded(text: str) -> None:
    normal = normalise_prompt(text)
    assert all(character.isalnum() for character in normal)
    assert normal.encode().decode() == normal


@settings(deadline=None)  # other work may share the machine
@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_a_slow_loop_over_plain_characters_gives_the_same(text: str) -> None:
    assert normalise_prompt(text) == "".join(c for c in text.lower() if c.isalnum())


def test_the_hash_is_blake2b_of_the_normalised_prompt() -> None:
    digest = blake2b(b"hello2", digest_size=8).digest()
    assert prompt_hash64("Hello, 2!") == sum(byte << 8 * i for i, byte in enumerate(digest))


@settings(deadline=None)  # other work may share the machine
@given(st.lists(st.text()))
def test_the_hashes_of_many_prompts_are_those_of_each(texts: list[str]) -> None:
    hashes = prompt_hashes64(texts)
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [prompt_hash64(text) for text in texts]


def test_a_question_inside_a_training_prompt_is_found_both_ways() -> None:
    training = ["unrelated", f"Please answer: {LONG.upper()} Thanks.", LONG[:40]]
    overlap = contained_questions(training, ["nothing here", LONG])
    assert overlap.training_index.tolist() == [1, 2]
    assert overlap.benchmark_index.tolist() == [1, 1]
    assert overlap.training_rows.tolist() == [1, 2]
    assert overlap.benchmark_rows.tolist() == [1]


def test_a_short_question_counts_only_when_equal() -> None:
    overlap = contained_questions([f"Look. {SHORT} Well?", "what is this"], [SHORT])
    assert overlap.training_rows.tolist() == [1]


def test_the_shortest_inner_text_counted_is_stated() -> None:
    inner = "abcdefghijklmnopqrstuvwxyz"
    training = [f"0{inner[:MIN_CHARS]}0", f"0{inner[: MIN_CHARS - 1]}0"]
    benchmark = [inner[:MIN_CHARS], inner[: MIN_CHARS - 1]]
    overlap = contained_questions(training, benchmark)
    # The one of 24 characters is inside the first; the one of 23 is too, and does not count.
    assert list(zip(overlap.training_index, overlap.benchmark_index, strict=True)) == [(0, 0)]


def test_texts_without_letters_never_count() -> None:
    assert len(contained_questions(["???", "🙂"], ["!!!", "..."], min_chars=1)) == 0


def test_min_chars_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="min_chars is 0"):
        contained_questions(["a"], ["a"], min_chars=0)


def test_no_texts_give_no_pairs() -> None:
    assert len(contained_questions([], [])) == 0
    assert len(contained_questions([LONG], [])) == 0
    assert len(contained_questions([], [LONG])) == 0


PIECES = st.text(alphabet="ab", min_size=0, max_size=40)


@settings(deadline=None)  # other work may share the machine
@given(st.lists(PIECES, max_size=6), st.lists(PIECES, max_size=6), st.integers(1, 30))
def test_the_fast_search_equals_trying_all_pairs(
    training: list[str], benchmark: list[str], min_chars: int
) -> None:
    expected = []
    for (i, one), (j, other) in product(enumerate(training), enumerate(benchmark)):
        inner, outer = sorted([one, other], key=len)
        contained = inner in outer and (len(inner) >= min_chars or one == other)
        if contained and inner:
            expected.append((i, j))
    overlap = contained_questions(training, benchmark, min_chars=min_chars)
    found = list(zip(overlap.training_index, overlap.benchmark_index, strict=True))
    assert found == expected


def test_texts_longer_than_one_block_are_searched_to_the_end() -> None:
    filler = "".join(map(str, range(300_000)))  # 1.7 million characters, no letter
    overlap = contained_questions([filler, filler + LONG, LONG + filler], [LONG])
    assert overlap.training_rows.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("Which?\nA. one\nB. two\nAnswer:", "Which?\n"),
        ("Which?\n(A) one\n(B) two", "Which?\n"),
        ("Which?\nA) one, on\ntwo lines\nB) two", "Which?\n"),
        ("No options here. A. is a letter.", "No options here. A. is a letter."),
        ("Only one\nA. option", "Only one\nA. option"),
        ("A. starts with\nB. options", "A. starts with\nB. options"),
    ],
)
def test_a_stem_is_what_comes_before_the_options(prompt: str, stem: str) -> None:
    assert question_stem(prompt) == stem


def test_the_flagged_rows_of_mmlu_pro_are_found_again(shared_data: Path) -> None:
    table = find_reader("matrix")(shared_data / "train" / "mmlu_pro_34models.parquet").table
    flagged = table.table["in_routellm_mmlu_eval"].to_numpy().astype(bool)
    benchmark = load_benchmark("mmlu", shared_data / "benchmarks" / "routellm").outcomes.prompts
    overlap = contained_questions(
        [question_stem(prompt) for prompt in table.prompts],
        [question_stem(prompt) for prompt in benchmark],
    )
    found = np.zeros(len(table), dtype=bool)
    found[overlap.training_rows] = True
    assert (found & flagged).sum() / found.sum() == 1.0
    assert (found & flagged).sum() / flagged.sum() > 0.999
