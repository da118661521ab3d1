"""The name of a request."""

import re

import pytest

from routecast.gateway.request_id import find_request_id, make_id


def test_the_clients_own_is_kept() -> None:
    headers = [(b"host", b"localhost"), (b"x-request-id", b"job-7:step/3")]
    assert find_request_id(headers, otherwise="ours") == "job-7:step/3"


@pytest.mark.parametrize(
    "shown",
    [
        [], [b""], [b"a b"], [b"a\tb"], [b"\xc3\xa9"], [b"x" * 129], [b"one", b"two"],
        [b'{"a"\n:1}'],
    ],
)  # fmt: skip
def test_otherwise_it_is_ours(shown: list[bytes]) -> None:
    headers = [(b"x-request-id", value) for value in shown]
    assert find_request_id(headers, otherwise="ours") == "ours"


def test_made_ids_differ() -> None:
    made = {make_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch("[0-9a-f]{24}", name) for name in made)
