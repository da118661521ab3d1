"""Embeddings kept on disk."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load

from routecast.embed import cache
from routecast.embed.cache import CachedEmbedder, cached, user_cache_folder
from routecast.embed.protocol import Cut, Embedder, EmbedderIdentity
from routecast.embed.static import load_static
from routecast.types import EmbeddingArray

pytestmark = pytest.mark.filterwarnings("error")


class Counting:
    """Counts what reaches the embedder that it wraps."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.identity: EmbedderIdentity = embedder.identity
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        self.texts += texts
        return self.embedder.embed(texts)


@pytest.fixture
def counting(word_embedder: Embedder) -> Counting:
    return Counting(word_embedder)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_ROWS", 3)


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.safetensors"))


TEXTS = ["one", "two words", "", "one", "three more words", "four", "seven", "five", "six"]


def test_vectors_are_the_embedders_and_each_text_is_embedded_once(
    counting: Counting, tmp_path: Path
) -> None:
    embedder = cached(counting, tmp_path)
    expected = counting.embedder.embed(TEXTS)
    np.testing.assert_array_equal(embedder.embed(TEXTS), expected)
    assert sorted(counting.texts) == sorted(set(TEXTS))
    assert len(shards(tmp_path)) == 3  # 8 different texts, 3 a shard

    np.testing.assert_array_equal(cached(counting, tmp_path).embed(TEXTS[::-1]), expected[::-1])
    np.testing.assert_array_equal(embedder.embed(TEXTS), expected)
    assert len(counting.texts) == 8
    assert embedder.identity == counting.identity


def test_nothing_is_made_before_there_is_something_to_keep(
    counting: Counting, tmp_path: Path
) -> None:
    embedder = cached(counting, tmp_path / "cache")
    assert embedder.embed([]).shape == (0, 8)
    assert not (tmp_path / "cache").exists()


def test_no_text_is_stored(counting: Counting, tmp_path: Path) -> None:
    cached(counting, tmp_path).embed(["a most secret sentence"])
    [shard] = shards(tmp_path)
    assert b"secret" not in shard.read_bytes()


def test_lone_surrogates_have_keys_of_their_own(tmp_path: Path) -> None:
    static = load_static()
    texts = ["a \ud800", "a \udfff", "a"]
    embedder = CachedEmbedder(static, tmp_path)
    for _ in range(2):
        np.testing.assert_array_equal(embedder.embed(texts), static.embed(texts))
    assert len({embedder._key(text) for text in texts}) == 3


def test_another_embedder_shares_nothing(
    counting: Counting, other_embedder: Embedder, tmp_path: Path
) -> None:
    other = Counting(other_embedder)
    cached(counting, tmp_path).embed(TEXTS)
    np.testing.assert_array_equal(cached(other, tmp_path).embed(TEXTS), other_embedder.embed(TEXTS))
    assert len(other.texts) == 8


@pytest.mark.parametrize("content", [b"", b"\x00" * 999, None])
def test_a_damaged_shard_is_dropped_with_a_warning_and_made_again(
    counting: Counting, tmp_path: Path, content: bytes | None
) -> None:
    cached(counting, tmp_path).embed(TEXTS)
    first = shards(tmp_path)[0]
    n_lost = len(load(first.read_bytes())["keys"])
    flipped = bytearray(first.read_bytes())
    flipped[-1] ^= 1  # one bit of one vector
    first.write_bytes(bytes(flipped) if content is None else content)
    embedder = cached(counting, tmp_path)
    with pytest.warns(UserWarning, match="is damaged; its texts are embedded again"):
        vectors = embedder.embed(TEXTS)
    np.testing.assert_array_equal(vectors, counting.embedder.embed(TEXTS))
    assert len(counting.texts) == 8 + n_lost
    np.testing.assert_array_equal(cached(counting, tmp_path).embed(TEXTS), vectors)


def test_a_shard_that_goes_bad_in_use_is_not_trusted(counting: Counting, tmp_path: Path) -> None:
    embedder = cached(counting, tmp_path)
    expected = embedder.embed(TEXTS)
    embedder.embed(TEXTS)  # the shards are known now
    for shard in shards(tmp_path):
        shard.write_bytes(shard.read_bytes()[:-4])
    with pytest.warns(UserWarning, match="is damaged"):
        np.testing.assert_array_equal(embedder.embed(TEXTS), expected)
    for shard in shards(tmp_path):
        shard.unlink()
    np.testing.assert_array_equal(embedder.embed(TEXTS), expected)
    assert len(counting.texts) == 3 * 8


def test_a_kill_loses_one_shard_at_most(counting: Counting, tmp_path: Path) -> None:
    def stop(n_done: int, n_total: int) -> None:
        if n_done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(counting, tmp_path, progress=stop).embed(TEXTS)
    cached(counting, tmp_path).embed(TEXTS)
    assert len(counting.texts) == 8  # 6 before the kill, 2 after


def test_what_a_killed_process_left_is_swept(counting: Counting, tmp_path: Path) -> None:
    embedder = cached(counting, tmp_path)
    embedder.embed(["one"])
    folder = shards(tmp_path)[0].parent
    old, fresh = folder / ".old.tmp", folder / ".fresh.tmp"
    for path in (old, fresh):
        path.write_bytes(b"half a shard")
    os.utime(old, (time.time() - 100_000,) * 2)
    embedder.embed(["two"])
    assert not old.exists()
    assert fresh.exists()


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from routecast.embed import cache; from routecast.embed.static import load_static\n"
        "cache.SHARD_ROWS = 7\n"
        "texts = [f'text number {row}' for row in range(120)]\n"
        "embedder = cache.cached(load_static(), Path(sys.argv[1]))\n"
        "for start in range(0, 120, 20):\n"
        "    assert (embedder.embed(texts[start:]) == load_static().embed(texts[start:])).all()\n"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr.decode()
    assert list(tmp_path.glob("*/.*.tmp")) == []


def test_another_processes_shards_are_found(counting: Counting, tmp_path: Path) -> None:
    first, second = cached(counting, tmp_path), cached(counting, tmp_path)
    first.embed(["one"])
    second.embed(["one", "two"])
    first.embed(["two"])
    assert counting.texts == ["one", "two"]


def test_a_folder_that_cannot_be_written_costs_the_cache_not_the_work(
    counting: Counting, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    embedder = cached(counting, tmp_path / "file")
    with pytest.warns(UserWarning, match="cannot write to the embedding cache") as warned:
        vectors = embedder.embed(TEXTS)
    assert len(warned) == 1
    np.testing.assert_array_equal(vectors, counting.embedder.embed(TEXTS))


def test_progress_counts_the_texts_that_were_not_known(counting: Counting, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    cached(counting, tmp_path).embed(["one"])
    cached(counting, tmp_path, progress=lambda *call: calls.append(call)).embed(TEXTS)
    assert calls == [(3, 7), (6, 7), (7, 7)]


def test_cut_is_the_embedders(word_embedder: Embedder, tmp_path: Path) -> None:
    static = load_static()
    assert CachedEmbedder(static, tmp_path).cut("a" * 20_000) == static.cut("a" * 20_000)
    nothing = Cut(n_characters=0, n_tokens=0)
    assert CachedEmbedder(word_embedder, tmp_path).cut("a" * 20_000) == nothing


@given(calls=st.lists(st.lists(st.text(alphabet="ab ", max_size=3)), max_size=4))
def test_any_calls_give_what_the_embedder_gives(
    calls: list[list[str]], word_embedder: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    embedder = cached(word_embedder, tmp_path_factory.mktemp("cache"))
    for texts in calls:
        np.testing.assert_array_equal(embedder.embed(texts), word_embedder.embed(texts))


def test_the_users_cache_folder_follows_the_platform(tmp_path: Path) -> None:
    below = Path("routecast") / "embeddings"
    given_folder = {"XDG_CACHE_HOME": str(tmp_path / "x")}
    assert user_cache_folder(given_folder, home=tmp_path, platform="linux") == (
        tmp_path / "x" / below
    )
    for ignored in ({}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}):
        folder = user_cache_folder(ignored, home=tmp_path, platform="linux")
        assert folder == tmp_path / ".cache" / below
    assert user_cache_folder({}, home=tmp_path, platform="darwin") == (
        tmp_path / "Library" / "Caches" / below
    )
    assert user_cache_folder({}, home=tmp_path, platform="win32") == (
        tmp_path / "AppData" / "Local" / below
    )
