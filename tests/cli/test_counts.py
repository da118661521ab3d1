import math

from routecast.cli.counts import counted, finite_or_none


def test_one_is_singular_and_thousands_have_commas() -> None:
    assert counted(1, "prompt") == "1 prompt"
    assert counted(0, "prompt") == "0 prompts"
    assert counted(1234, "prompt") == "1,234 prompts"


def test_what_json_cannot_hold_is_none() -> None:
    assert [finite_or_none(value) for value in (0.5, math.nan, -math.inf)] == [0.5, None, None]
