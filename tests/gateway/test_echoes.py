"""Our key never comes back from an upstream that repeats it."""

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway.echoes import SecretEraser, erase_secret, secret_of
from routecast.testing import Refuse

if TYPE_CHECKING:
    from tests.gateway.conftest import Gateway

HARD = b'{"model":"auto","messages":[{"role":"user","content":"hard"}]}'
KEY = b"sk-upstream-secret"  # the fixture's STRONG_KEY
ECHO = b'{"error": {"message": "no such key: %s!"}}'


def erase(eraser: SecretEraser, chunks: list[bytes]) -> bytes:
    return b"".join(map(eraser.feed, chunks)) + eraser.finish()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_secret_is_erased_however_the_body_is_cut(size: int) -> None:
    body = ECHO % KEY + KEY[:5]
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert erase(SecretEraser(KEY), chunks) == body.replace(KEY, b"*" * 18)


@given(st.lists(st.text("ab", max_size=6)), st.text("ab", min_size=1, max_size=4))
def test_it_does_as_a_replacement_in_the_whole_body_would(parts: list[str], secret: str) -> None:
    chunks, named = [part.encode() for part in parts], secret.encode()
    expected = b"".join(chunks).replace(named, b"*" * len(named))
    assert erase(SecretEraser(named), chunks) == expected


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_packed_body_goes_on_unpacked(pack: "type[bytes]") -> None:
    packed = pack(ECHO % KEY)
    headers = [(b"content-encoding", b"gzip"), (b"content-length", b"70"), (b"x-a", b"1")]
    kept, (eraser,) = erase_secret(headers, KEY)
    assert kept == [(b"x-a", b"1")]
    plain = eraser.feed(packed[:20]) + eraser.feed(packed[20:]) + eraser.finish()
    assert plain == ECHO % (b"*" * 18)


def test_a_body_that_is_not_what_it_says_or_grows_too_large_is_cut_off() -> None:
    assert erase(SecretEraser(KEY, is_packed=True), [b"this is no gzip", b"more"]) == b""
    bomb = gzip.compress(bytes(1 << 24))
    assert len(erase(SecretEraser(KEY, is_packed=True), [bomb])) == 1 << 22


def test_what_cannot_be_read_passes_as_it_is() -> None:
    headers = [(b"content-encoding", b"br")]
    assert erase_secret(headers, KEY) == (headers, ())


@pytest.mark.parametrize(
    ("api_key", "secret"),
    [(None, None), ("none", None), ("ollama", None), ("12345678", b"12345678")],
)
def test_a_placeholder_is_no_secret(api_key: str | None, secret: bytes | None) -> None:
    assert secret_of(api_key) == secret


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 500])
@pytest.mark.parametrize("is_packed", [False, True])
async def test_an_error_that_repeats_our_key_comes_without_it(
    gateway: "Gateway", status: int, is_packed: bool
) -> None:
    body, headers = ECHO % KEY, {"x-echo": f"Bearer {KEY.decode()}", "x-other": "1"}
    if is_packed:
        body, headers = gzip.compress(body), headers | {"content-encoding": "gzip"}
    gateway.big.misbehave(Refuse(status=status, headers=headers, body=body))
    async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
        content = await answer.read()
    assert (answer.status, content) == (status, ECHO % (b"*" * 18))
    assert "x-echo" not in answer.headers
    assert answer.headers["x-other"] == "1"
    if not is_packed:
        assert int(answer.headers["content-length"]) == len(content)


@pytest.mark.anyio
async def test_a_good_answer_keeps_its_bytes_and_loses_the_header(gateway: "Gateway") -> None:
    body = b'{"repeated": "%s"}' % KEY
    headers = {"x-echo": KEY.decode()}
    gateway.big.misbehave(Refuse(status=200, headers=headers, body=body))
    async with gateway.http.post(gateway.chat_url, data=HARD) as answer:
        assert await answer.read() == body
    assert "x-echo" not in answer.headers
