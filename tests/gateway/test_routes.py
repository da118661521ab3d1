"""What clients may ask for."""

from dataclasses import replace

import numpy as np
import pytest

from routecast.artifacts import LoadedRouter, load_router
from routecast.errors import ConfigError, RequestError
from routecast.gateway.loading import resolve_endpoints
from routecast.gateway.routes import Route, RouteTable, build_route_table
from routecast.gateway.surfaces import SURFACES
from routecast.policy.cuts import Cut
from routecast.policy.parse import parse_settings
from routecast.policy.settings import Settings
from routecast.upstream.endpoint import Endpoint

CHAT = SURFACES["/v1/chat/completions"]
SETTINGS = """
[models.big]
model = "b"
base_url = "http://127.0.0.1:1/v1"
[models.small]
model = "s"
base_url = "http://127.0.0.1:1/v1"
[routes.auto]
strong = "big"
weak = "small"
router = "random"
strong_share = 0.2
[routes.second]
strong = "small"
weak = "big"
router = "random"
threshold = 0.9
on_router_error = "weak"
"""


def settings_of(text: str = SETTINGS) -> Settings:
    return parse_settings(text, source="test")


def table_of(text: str = SETTINGS, **routers: LoadedRouter) -> RouteTable:
    settings = settings_of(text)
    loaded = routers or {"random": load_router("random")}
    return build_route_table(settings, loaded, resolve_endpoints(settings, {}))


def test_a_goal_becomes_a_threshold_and_says_from_where() -> None:
    route = table_of().routes["auto"]
    assert route.threshold == pytest.approx(0.8)
    assert route.calibration_sample == "uniform by construction"
    assert route.fallback == "big"


def test_a_given_threshold_is_from_no_sample() -> None:
    route = table_of().routes["second"]
    assert (route.threshold, route.calibration_sample, route.fallback) == (0.9, None, "big")


def test_a_router_without_a_sample_is_refused_with_the_route_s_name() -> None:
    text = SETTINGS.replace('"random"', '"length"')
    with pytest.raises(
        ConfigError, match=r"routes.auto: router 'length' has no calibration sample"
    ):
        table_of(text, length=load_router("length"))


def test_a_goal_that_the_router_cannot_tell_is_refused_with_the_command_to_run() -> None:
    text = SETTINGS.replace('"random"\nstrong_share = 0.2', '"default"\nmin_quality = 0.9')
    routers = {"random": load_router("random"), "default": load_router()}
    with pytest.raises(ConfigError, match=r"routes.auto: .* run routecast calibrate --router def"):
        table_of(text, **routers)


def test_a_threshold_may_split_its_tie() -> None:
    text = SETTINGS.replace("threshold = 0.9", "threshold = 0.9\ntie_share = 0.25")
    assert table_of(text).routes["second"].cut == Cut(0.9, 0.25)
    assert table_of().routes["second"].cut == Cut(0.9)


def test_a_router_that_was_not_loaded_is_named() -> None:
    with pytest.raises(ConfigError, match=r"routers \['random'\] are not loaded; got \['mine'\]"):
        table_of(mine=replace(load_router("random"), win_probability_quantiles=np.linspace(0, 1)))


def test_clients_may_name_a_route_or_a_model() -> None:
    table = table_of()
    assert table.find("second", CHAT) is table.routes["second"]
    found = table.find("small", CHAT)
    assert isinstance(found, Endpoint)
    assert found.model == "s"


def test_clients_may_name_a_router_and_a_threshold_for_the_first_route_that_uses_it() -> None:
    found = table_of().find("router-random-0.35", CHAT)
    assert isinstance(found, Route)
    assert (found.name, found.strong, found.threshold) == ("auto", "big", 0.35)
    assert found.calibration_sample is None


@pytest.mark.parametrize(
    "model", ["", "nothing", "router-random", "router-random-2", "router-default-0.5", "AUTO"]
)
def test_anything_else_is_not_found_and_told_what_there_is(model: str) -> None:
    with pytest.raises(RequestError) as caught:
        table_of().find(model, CHAT)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")
    message = str(caught.value)
    for part in (repr(model), "['auto', 'second']", "['big', 'small']", "['random']"):
        assert part in message
