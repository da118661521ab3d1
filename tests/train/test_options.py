import pytest

from routecast.errors import ConfigError
from routecast.train.options import parse_options
from routecast.train.registry import find_family


def test_values_take_the_type_of_the_settings_default() -> None:
    options = parse_options(find_family("mf"), ["weight_decay=1e-3", "n_factors=16"])
    assert options == {"weight_decay": 0.001, "n_factors": 16}
    assert parse_options(find_family("sw"), ["normalise=query"]) == {"normalise": "query"}


def test_several_values_are_choices() -> None:
    assert parse_options(find_family("sw"), ["gamma=10,100"]) == {"gamma": (10.0, 100.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight_decay", "accepted is NAME=VALUE"),
        ("weight_decay=", "accepted is NAME=VALUE"),
        ("n_factors=1.5", "a whole number"),
        ("weight_decay=much", "a number"),
        ("seed=3", "no setting 'seed'"),
        ("speed=3", r"no setting 'speed'; its settings are n_factors=128, weight_decay=1e-05"),
    ],
)
def test_what_is_no_setting_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_options(find_family("mf"), [text])


def test_values_may_have_names() -> None:
    sw = find_family("sw")
    assert parse_options(sw, ["gamma=sharp"]) == {"gamma": 1e4}
    assert parse_options(sw, ["gamma=paper,sharp,50"]) == {"gamma": (10.0, 1e4, 50.0)}
    with pytest.raises(ConfigError, match=r"accepted is a number, or one of \['paper', 'sharp'\]"):
        parse_options(sw, ["gamma=blunt"])


def test_a_setting_given_twice_is_told_how_to_list_values() -> None:
    with pytest.raises(ConfigError, match="n_factors=A,B"):
        parse_options(find_family("mf"), ["n_factors=8", "n_factors=16"])
