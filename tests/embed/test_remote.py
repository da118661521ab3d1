"""The remote embedder, against the fake upstream on loopback."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pytest

from routecast.embed import remote
from routecast.embed.registry import load_embedder
from routecast.embed.remote import RemoteEmbedder, load_remote
from routecast.errors import UpstreamError
from routecast.testing import FakeUpstream, Fault, Gzip, Hang, Refuse, StopMidStream, serve_upstream
from routecast.testing.embeddings import simulated_embedding
from routecast.types import EmbeddingArray
from routecast.upstream.chat import ChatTimeouts
from routecast.upstream.endpoint import Endpoint
from routecast.upstream.retry import RetryPolicy

T = TypeVar("T")
KEY = "sk-a-key-that-nobody-may-see"
RETRY = RetryPolicy(n_attempts=3, base_delay_s=0.001)
TIMEOUTS = ChatTimeouts(connect_s=1.0, read_s=0.3, total_s=5.0)


def with_upstream(work: Callable[[Endpoint], T], *, upstream: FakeUpstream | None = None) -> T:
    """Run ordinary code in a thread while the fake upstream serves."""

    async def serve() -> T:
        async with serve_upstream(upstream or FakeUpstream("vectors-1")) as base_url:
            endpoint = Endpoint(name="v", model="vectors-1", base_url=base_url, api_key=KEY)
            return await asyncio.to_thread(work, endpoint)

    return asyncio.run(serve())


def expected(texts: Sequence[str]) -> EmbeddingArray:
    vectors = np.array([simulated_embedding(text) for text in texts], dtype=np.float32)
    unit: EmbeddingArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def test_vectors_are_the_endpoints_in_order_and_of_length_one() -> None:
    texts = ["one", "two", "one", "three"]
    upstream = FakeUpstream("vectors-1")

    def work(endpoint: Endpoint) -> tuple[RemoteEmbedder, EmbeddingArray]:
        embedder = load_remote(endpoint)
        return embedder, embedder.embed(texts)

    embedder, vectors = with_upstream(work, upstream=upstream)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)
    assert embedder.identity.name == "openai:vectors-1"
    assert embedder.identity.dimension == 8
    probe, request = upstream.requests
    assert request.path == probe.path == "/v1/embeddings"
    assert request.header("authorization") == f"Bearer {KEY}"
    assert json.loads(request.body)["input"] == ["one", "two", "three"]  # equal texts once


def test_many_texts_go_in_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_TEXTS", 3)
    texts = [f"text {row}" for row in range(20)]
    upstream = FakeUpstream("vectors-1")
    vectors = with_upstream(lambda endpoint: load_remote(endpoint).embed(texts), upstream=upstream)
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)
    assert upstream.n_requests == 1 + 7


@pytest.mark.parametrize(
    "text", ["", " \n", "\ud800", "\x00", "x" * 100_000, "\ud83d\ude00"], ids=ascii
)
def test_any_text_has_a_unit_vector(text: str) -> None:
    vectors = with_upstream(lambda endpoint: load_remote(endpoint).embed([text]))
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-6)
    sent = text[:8000].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    np.testing.assert_allclose(vectors, expected([sent if sent.strip() else " "]), atol=1e-6)


def test_no_text_asks_nothing() -> None:
    embedder = RemoteEmbedder(Endpoint(name="v", model="m", base_url="http://x"), dimension=8)
    assert embedder.embed([]).shape == (0, 8)


@pytest.mark.parametrize(
    "fault",
    [
        Refuse(status=429, headers={"Retry-After": "0"}),
        Refuse(status=500),
        Refuse(status=200, body=b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0}]}'),
        Refuse(status=200, body=b'{"data": [{"index": 1, "embedding": [1.0]}]}'),
        Refuse(status=200, body=b'{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}'),
        Refuse(status=200, body=b"half of an ans"),
        Hang(duration_s=1.0),
        StopMidStream(),
        Gzip(),
    ],
)
def test_what_passes_is_tried_again(fault: Fault) -> None:
    upstream = FakeUpstream("vectors-1")

    def work(endpoint: Endpoint) -> EmbeddingArray:
        embedder = load_remote(endpoint, retry=RETRY, timeouts=TIMEOUTS)
        upstream.misbehave(fault)
        return embedder.embed(["one"])

    np.testing.assert_allclose(with_upstream(work, upstream=upstream), expected(["one"]), atol=1e-6)


@pytest.mark.parametrize("status", [401, 503])
def test_what_does_not_pass_is_one_error_without_the_key(status: int) -> None:
    upstream = FakeUpstream("vectors-1")

    def work(endpoint: Endpoint) -> str:
        upstream.misbehave(*[Refuse(status=status)] * 3)
        with pytest.raises(UpstreamError) as caught:
            load_remote(endpoint, retry=RETRY, timeouts=TIMEOUTS)
        embedder = RemoteEmbedder(endpoint, dimension=8, retry=RETRY, timeouts=TIMEOUTS)
        upstream.reset()
        upstream.misbehave(*[Refuse(status=status)] * 3)
        with pytest.raises(UpstreamError) as again:
            embedder.embed(["a text that nobody may see"])
        return f"{caught.value} {again.value}"

    message = with_upstream(work, upstream=upstream)
    assert message.count(f"model 'v' answered status {status}") == 2
    assert KEY not in message
    assert "nobody" not in message
    assert upstream.n_requests == (1 if status == 401 else 3)


def test_vectors_of_another_length_are_refused() -> None:
    def work(endpoint: Endpoint) -> None:
        RemoteEmbedder(endpoint, dimension=9).embed(["one"])

    with pytest.raises(UpstreamError, match="vectors of 8 numbers where it gave 9 before"):
        with_upstream(work)


def test_a_model_is_the_same_at_another_address_and_no_other_model_is() -> None:
    identities = [
        RemoteEmbedder(Endpoint(name="v", model=model, base_url=url), dimension=n).identity
        for model, url, n in [("m", "http://a", 8), ("m", "http://b", 8), ("n", "http://a", 8),
                              ("m", "http://a", 9)]
    ]  # fmt: skip
    same = [identity.gives_vectors_of(identities[0]) for identity in identities]
    assert same == [True, True, False, False]


def test_the_registry_gives_it() -> None:
    embedder = with_upstream(lambda end: load_embedder("openai:vectors-1", endpoint=end))
    assert isinstance(embedder, RemoteEmbedder)
