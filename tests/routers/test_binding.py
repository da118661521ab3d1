import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.errors import ConfigError
from routecast.routers.binding import refuse_overlap, resolve_name, tier_number

KNOWN = ("gpt-4-1106-preview", "gpt-4-0613", "mixtral-8x7b")


def test_a_tier_is_told_from_a_model_by_its_prefix() -> None:
    assert tier_number("tier:0") == 0
    assert tier_number("tier:12") == 12
    assert tier_number("gpt-4-0613") is None


@pytest.mark.parametrize("name", ["tier:", "tier:best", "tier:-1", "tier:1.5", "tier:²"])
def test_a_tier_without_a_number_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="write it as 'tier:0'"):
        tier_number(name)


def test_known_models_and_tiers_stand_for_themselves() -> None:
    assert resolve_name("gpt-4-0613", KNOWN, side="strong") == "gpt-4-0613"
    assert resolve_name("tier:3", KNOWN, side="strong") == "tier:3"


def test_an_alias_stands_for_a_model_or_a_tier() -> None:
    aliases = {"mine": "mixtral-8x7b", "other": "tier:2", "gpt-4-0613": "mixtral-8x7b"}
    assert resolve_name("mine", KNOWN, side="weak", aliases=aliases) == "mixtral-8x7b"
    assert resolve_name("other", KNOWN, side="weak", aliases=aliases) == "tier:2"
    # A model that the data holds is never mistaken for another.
    assert resolve_name("gpt-4-0613", KNOWN, side="weak", aliases=aliases) == "gpt-4-0613"


def test_an_unknown_model_is_answered_with_near_names_and_the_flag_that_maps_it() -> None:
    with pytest.raises(ConfigError, match=r"'gpt-4o' .* \['gpt-4-0613'.* --strong-as gpt-4-0613"):
        resolve_name("gpt-4o", KNOWN, side="strong")
    with pytest.raises(ConfigError, match="--weak-as gpt-4-0613"):
        resolve_name("zzzz", KNOWN, side="weak")


def test_an_alias_to_nowhere_names_both_ends() -> None:
    with pytest.raises(ConfigError, match="'gpt-5', which 'mine' is mapped to, is not in"):
        resolve_name("mine", KNOWN, side="weak", aliases={"mine": "gpt-5"})


@given(st.text(max_size=20), st.sampled_from([*KNOWN, "tier:1"]))
def test_whatever_the_name_an_alias_makes_it_known(name: str, target: str) -> None:
    expected = name if name in KNOWN else target
    assert resolve_name(name, KNOWN, side="strong", aliases={name: target}) == expected


def test_a_model_on_both_sides_is_refused() -> None:
    refuse_overlap(["a"], ["b"])
    with pytest.raises(ConfigError, match=r"\['a'\] are both strong and weak"):
        refuse_overlap(["a", "c"], ["b", "a"])
