import math

import pytest
import typer

from routecast.cli.counts import counted, finite_or_none, parse_share


def test_one_is_singular_and_thousands_have_commas() -> None:
    assert counted(1, "prompt") == "1 prompt"
    assert counted(0, "prompt") == "0 prompts"
    assert counted(1234, "prompt") == "1,234 prompts"


def test_what_json_cannot_hold_is_none() -> None:
    assert [finite_or_none(value) for value in (0.5, math.nan, -math.inf)] == [0.5, None, None]


@pytest.mark.parametrize(
    ("text", "share"), [("0", 0.0), ("0.3", 0.3), (" 1 ", 1.0), ("1e-2", 0.01)]
)
def test_a_share_is_read(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize(
    ("text", "hint"),
    [("30", "did you mean 0.3"), ("30%", "did you mean 0.3"), ("0.5%", "did you mean 0.005"),
     ("-1", "from 0 to 1$"), ("nan", "from 0 to 1$"), ("many", "from 0 to 1$"),
     ("", "from 0 to 1$")],
)  # fmt: skip
def test_what_is_no_share_is_refused_with_what_may_be_meant(text: str, hint: str) -> None:
    with pytest.raises(typer.BadParameter, match=hint):
        parse_share(text)
