"""What clients may ask of a route by headers."""

import pytest

from routecast.errors import RequestError
from routecast.gateway.overrides import Wish, read_wish


def test_without_such_a_header_there_is_no_wish() -> None:
    assert read_wish([(b"host", b"x"), (b"x-routecas", b"1")]) is None


@pytest.mark.parametrize(
    ("name", "value", "wish"),
    [
        (b"threshold", b"0.25", Wish("threshold", 0.25)),
        (b"threshold", b" 1 ", Wish("threshold", 1.0)),
        (b"strong-share", b"0", Wish("strong_share", 0.0)),
        (b"strong-share", b"2e-1", Wish("strong_share", 0.2)),
        (b"force", b"strong", Wish("force", role="strong")),
        (b"force", b"weak", Wish("force", role="weak")),
    ],
)
def test_each_header_is_read(name: bytes, value: bytes, wish: Wish) -> None:
    assert read_wish([(b"a", b"b"), (b"x-routecast-" + name, value)]) == wish


@pytest.mark.parametrize("name", [b"threshold", b"strong-share"])
@pytest.mark.parametrize(
    "value", [b"", b"1.1", b"-0.1", b"nan", b"inf", b"0,5", b"half", b"1_0e-2", b"\xb2"]
)
def test_what_is_no_share_is_refused_with_what_is(name: bytes, value: bytes) -> None:
    with pytest.raises(RequestError, match="accepted: a number from 0 to 1") as caught:
        read_wish([(b"x-routecast-" + name, value)])
    assert (caught.value.status, caught.value.code) == (400, "invalid_routecast_header")
    assert f"x-routecast-{name.decode()}" in str(caught.value)


@pytest.mark.parametrize("value", [b"", b"big", b"STRONG"])
def test_only_the_roles_can_be_forced(value: bytes) -> None:
    with pytest.raises(RequestError, match="accepted: strong or weak"):
        read_wish([(b"x-routecast-force", value)])


def test_an_unknown_header_lists_those_that_exist() -> None:
    with pytest.raises(RequestError, match="unknown header 'x-routecast-treshold'; accepted are"):
        read_wish([(b"x-routecast-treshold", b"0.3")])


def test_two_wishes_do_not_go_together() -> None:
    headers = [(b"x-routecast-force", b"weak"), (b"x-routecast-threshold", b"0.3")]
    with pytest.raises(RequestError, match="x-routecast-force and x-routecast-threshold do not go"):
        read_wish(headers)


@pytest.mark.parametrize(("n", "times"), [(2, "twice"), (3, "3 times")])
def test_a_header_that_is_given_again_is_said_to_be(n: int, times: str) -> None:
    with pytest.raises(RequestError, match=f"x-routecast-force is given {times}; send it once"):
        read_wish([(b"x-routecast-force", b"weak")] * n)
