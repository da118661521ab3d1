from dataclasses import dataclass

import pytest

from routecast.errors import ConfigError
from routecast.routers.families import FAMILIES, family_names
from routecast.train.registry import Family, Fit, Lesson, find_family


@dataclass(frozen=True, kw_only=True)
class Settings:
    rate: float = 0.5
    n_rounds: int = 3
    seed: int = 0


def never_fitted(lesson: Lesson, settings: Settings) -> Fit:
    raise NotImplementedError


FAMILY = Family(
    name="thing", settings=Settings, fit=never_fitted, search={"rate": (0.1, 0.2)}, fixed=("seed",)
)


@pytest.mark.parametrize("name", family_names())
def test_every_registered_family_is_there_and_can_be_rebuilt(name: str) -> None:
    family = find_family(name)
    assert family.name == name
    assert callable(FAMILIES[name].load_serving())
    assert family.candidates({})


def test_an_unknown_family_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        ConfigError, match=r"unknown router 'mff'; did you mean 'mf'\?.*'mf', 'ridge', 'sw'"
    ):
        find_family("mff")


def test_a_family_tries_its_own_values_unless_others_are_given() -> None:
    assert FAMILY.candidates({}) == [{"rate": 0.1}, {"rate": 0.2}]
    assert FAMILY.candidates({"rate": 0.9}) == [{"rate": 0.9}]


def test_several_values_are_combined_with_one_another() -> None:
    found = FAMILY.candidates({"rate": (1.0, 2.0), "n_rounds": (1, 2)})
    assert len(found) == 4
    assert {"rate": 2.0, "n_rounds": 1} in found


@pytest.mark.parametrize("name", ["seed", "speed"])
def test_settings_that_are_not_the_users_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"no setting .*rate=0.5, n_rounds=3$"):
        FAMILY.candidates({name: 1})


def test_a_router_without_settings_says_that_it_has_none() -> None:
    with pytest.raises(ConfigError, match="ridge has no setting 'foo'; it has none to set"):
        find_family("ridge").candidates({"foo": 1})
