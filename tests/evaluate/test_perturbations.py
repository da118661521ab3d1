"""Changed prompts: the same every time, and changed as their name says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.evaluate.perturbations import FILLER, SAME_REQUEST, padded, rewritten, with_typos

PROMPT = "What is the capital of France?\nDon't guess; answer exactly, because it is important."


@pytest.mark.parametrize("name", SAME_REQUEST)
@given(prompt=st.text())
def test_any_text_is_changed_in_the_same_way_every_time(name: str, prompt: str) -> None:
    change = SAME_REQUEST[name]
    assert change(prompt, 3) == change(prompt, 3)


def test_a_typo_moves_or_drops_one_inner_letter() -> None:
    seen = {with_typos("What is 12 and 13?", seed) for seed in range(50)}
    # One word has four letters: of "What" the inner neighbours "ha", "at" are swapped, or the
    # later one of the two is dropped.
    assert seen == {f"{word} is 12 and 13?" for word in ("Waht", "Whta", "Wht", "Wha")}
    assert with_typos("1 + 1 = ?", 0) == "1 + 1 = ?"


def test_one_longer_word_in_twenty_has_a_typo() -> None:
    words = ["letter"] * 60
    changed = with_typos(" ".join(words), 0).split(" ")
    assert sum(word != "letter" for word in changed) in {1, 2, 3}  # "tt" swapped is the same
    assert len(changed) == 60


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What is the sum?", "Tell me the sum?"),
        ("Two birds sing. How many sing?", "Two birds sing. What number of sing?"),
        ("COMPUTE 3 + 4", "Calculate 3 + 4"),
        ("a list of what to find", "a list of what to find"),  # no opening of a sentence
        ("He doesn't know, and it is late.", "He does not know, and it's late."),
    ],
)
def test_openings_and_contractions_are_rewritten(prompt: str, expected: str) -> None:
    assert rewritten(prompt) == expected


def test_other_changes_are_those_of_their_names() -> None:
    changed = {name: change(PROMPT, 0) for name, change in SAME_REQUEST.items()}
    assert changed["upper_case"] == PROMPT.upper()
    assert changed["lower_case"] == PROMPT.lower()
    assert changed["spaces"].split() == PROMPT.split()
    assert changed["spaces"].startswith("What  is  the  capital  of  France?\n\nDon't")
    assert PROMPT in changed["politeness"]


@pytest.mark.parametrize("n_characters", [200, 1_000])
def test_padding_appends_so_many_characters(n_characters: int) -> None:
    text = padded(PROMPT, n_characters)
    assert text.startswith(PROMPT)
    assert len(text) == len(PROMPT) + n_characters
    assert FILLER.startswith(text[len(PROMPT) + 2 :])
