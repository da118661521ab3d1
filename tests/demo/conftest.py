"""Learn once for all tests of the demo."""

import pytest

from routecast.demo.learning import Learned, learn
from routecast.demo.questions import Question, load_questions


@pytest.fixture(scope="package")
def learning() -> list[Question]:
    """The questions that are learned from."""
    return load_questions()[0]


@pytest.fixture(scope="package")
def held_out() -> list[Question]:
    """The questions that are routed."""
    return load_questions()[1]


@pytest.fixture(scope="package")
def learned(learning: list[Question]) -> Learned:
    """The demo's router."""
    return learn(learning)
