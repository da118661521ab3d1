"""The keys that clients show."""

import hmac
import pickle
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway import keys as keys_module
from routecast.gateway.keys import ClientKeys, keep_client_keys, shown_keys

_KEY = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def test_a_key_is_found_by_its_position_and_nothing_else_is() -> None:
    keys = keep_client_keys(["first", "second"])
    assert keys is not None
    assert [keys.find(key) for key in (b"first", b"second")] == [0, 1]
    assert [keys.find(key) for key in (b"", b"firs", b"first ", b"FIRST", b"firstsecond")] == (
        [None] * 5
    )


def test_no_keys_are_none_at_all() -> None:
    assert keep_client_keys([]) is None


@given(st.lists(_KEY, min_size=1, max_size=5, unique=True), _KEY)
def test_found_is_what_a_plain_comparison_finds(accepted: list[str], shown: str) -> None:
    keys = keep_client_keys(accepted)
    assert keys is not None
    expected = accepted.index(shown) if shown in accepted else None
    assert keys.find(shown.encode()) == expected


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys_module, "compare_digest", compare)
    keys = keep_client_keys(["a", "bb", "ccc"])
    assert keys is not None
    for shown in (b"a", b"ccc", b"none of them"):
        keys.find(shown)
    assert compared == [(32, 32)] * 9  # three times all three, digests of one length


def test_neither_keys_nor_their_plain_digests_are_kept() -> None:
    keys = keep_client_keys(["sk-client-secret"])
    assert keys is not None
    dump = repr(keys).encode() + pickle.dumps(keys)
    assert b"sk-client-secret" not in dump
    assert blake2b(b"sk-client-secret", digest_size=32).digest() not in dump
    assert repr(keys) == "ClientKeys()"
    assert isinstance(keys, ClientKeys)


@pytest.mark.parametrize(
    ("headers", "keys"),
    [
        ([(b"authorization", b"Bearer one")], [b"one"]),
        ([(b"authorization", b"bearer  one ")], [b"one"]),
        ([(b"x-api-key", b"two")], [b"two"]),
        ([(b"api-key", b" three")], [b"three"]),
        ([(b"x-api-key", b"two"), (b"authorization", b"Bearer one")], [b"two", b"one"]),
        ([(b"authorization", b"Basic b25lOnR3bw==")], []),
        ([(b"authorization", b"one"), (b"cookie", b"api-key=one")], []),
        ([], []),
    ],
)
def test_keys_are_read_where_the_clients_of_each_api_send_them(
    headers: list[tuple[bytes, bytes]], keys: list[bytes]
) -> None:
    assert shown_keys(headers) == keys
