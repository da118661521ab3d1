"""Label probabilities from the top tokens of a server, by the stated rules."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.routers.causal_chances import label_logprobs, seen_labels, split_label
from routecast.routers.causal_labels import LETTERS
from routecast.upstream.first_token import TokenChance

LABELS = ("A", "B", "C")


def chances(**by_token: float) -> list[TokenChance]:
    return of(by_token)


def of(by_token: dict[str, float]) -> list[TokenChance]:
    return [
        TokenChance(token=token, logprob=math.log(p) if p else -math.inf)
        for token, p in by_token.items()
    ]


def test_probabilities_of_one_label_with_and_without_a_space_add_up() -> None:
    # A: .4 + .2 + .1 = .7; B: .2; C: .05.
    found = label_logprobs(of({"A": 0.4, " A": 0.2, "▁A\n": 0.1, "ĠB": 0.2, "C": 0.05}), LABELS)
    np.testing.assert_allclose(np.exp(found), [0.7, 0.2, 0.05])


def test_a_missing_label_gets_the_most_it_can_have() -> None:
    # Listed .6 + .3 + .04 = .94, so .06 is left. B and C are missing: at most .06 / 2 = .03 each,
    # which is less than the least probable listed token, .04.
    found = label_logprobs(of({"A": 0.6, "The": 0.3, "a": 0.04}), LABELS)
    np.testing.assert_allclose(np.exp(found), [0.6, 0.03, 0.03])
    # With .9 and .01 listed, .09 is left; a missing label has at most .01, as it is not listed.
    found = label_logprobs(of({"A": 0.9, "The": 0.01}), LABELS)
    np.testing.assert_allclose(np.exp(found), [0.9, 0.01, 0.01])
    assert LETTERS.win_probabilities(found[None]) == pytest.approx([(0.9 + 0.005) / 0.92])


@pytest.mark.parametrize("by_token", [{}, {"The": 0.9, "a": 0.1}, {"A": 0.0, "The": 1.0}])
def test_nothing_is_known_without_a_label(by_token: dict[str, float]) -> None:
    found = label_logprobs(of(by_token), LABELS)
    assert np.isnan(found).all()
    assert np.isnan(LETTERS.win_probabilities(found[None])).all()


def test_upper_and_lower_case_differ_and_so_do_words_that_begin_with_a_label() -> None:
    assert np.isnan(label_logprobs(chances(a=0.5, Apple=0.3), LABELS)).all()
    assert seen_labels(chances(a=0.5, B=0.3), LABELS) == {"B"}


def test_a_label_of_several_tokens_is_told_by_its_beginning() -> None:
    labels = ("[[strong]]", "[[tie]]", "[[weak]]")
    assert split_label(of({" [[": 0.9, "The": 0.1}), labels) == "[[strong]]"
    assert split_label(of({"[[tie]]": 0.9}), labels) is None
    assert split_label(of({"The": 0.9, "[[": 0.1}), labels) is None
    assert split_label([], labels) is None


@given(
    weights=st.lists(st.floats(1e-6, 1.0), min_size=6, max_size=6),
    n_listed=st.integers(1, 6),
)
def test_a_shorter_list_never_makes_a_missing_label_less_probable(
    weights: list[float], n_listed: int
) -> None:
    total = sum(weights)
    tokens = ("A", "B", "C", "The", "I", "a")
    by_token = dict(zip(tokens, (weight / total for weight in weights), strict=True))
    ranked = dict(sorted(by_token.items(), key=lambda one: -one[1])[:n_listed])
    found = np.exp(label_logprobs(of(ranked), LABELS))
    truth = np.array([by_token[label] for label in LABELS])
    if np.isnan(found).any():
        assert not set(ranked) & set(LABELS)
        return
    listed = np.array([label in ranked for label in LABELS])
    np.testing.assert_allclose(found[listed], truth[listed])
    least = min(ranked.values())
    assert (found[~listed] <= least + 1e-12).all()
    assert found[~listed].sum() >= min(truth[~listed].sum(), least) - 1e-12
