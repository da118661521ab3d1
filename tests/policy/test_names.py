"""Names of the form router-NAME-THRESHOLD."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.policy.names import RouterName, parse_router_name


def test_a_name_of_routellm_is_read() -> None:
    # The example in routellm's own README.
    assert parse_router_name("router-mf-0.11593") == RouterName("mf", 0.11593)


def test_the_last_hyphen_splits_so_that_router_names_may_hold_hyphens() -> None:
    assert parse_router_name("router-my-own-router-0.5") == RouterName("my-own-router", 0.5)


@pytest.mark.parametrize(
    "name",
    [
        "auto", "router-", "router--", "router-mf", "router-mf-", "router--0.5", "mf-0.5",
        "router-mf-high", "router-mf-1.5", "router-mf-nan", "router-mf-inf", "router-mf- 0.5",
        "router-mf-1_0", "router-mf-٠",
    ],
)  # fmt: skip
def test_anything_else_is_not_such_a_name(name: str) -> None:
    assert parse_router_name(name) is None


@given(
    st.text(min_size=1).filter(lambda router: not router.endswith("-")),
    st.floats(min_value=0, max_value=1).map(lambda threshold: round(threshold, 6)),
)
def test_every_router_and_threshold_survive_the_name(router: str, threshold: float) -> None:
    assert parse_router_name(f"router-{router}-{threshold:f}") == RouterName(router, threshold)
