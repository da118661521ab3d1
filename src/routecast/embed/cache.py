"""Embeddings kept on disk, so that a slow embedder sees each text once.

Under the caller's folder, each embedder has a folder of its own, named by its digest, and in it
shards: files of at most `SHARD_ROWS` keyed vectors. A key is a 64-bit hash of the text under the
embedder's digest; texts are never stored. A shard is named by the SHA-256 of its content, appears
whole by a rename, and is never changed, so a kill loses one shard's work at most, and any number
of processes may share the folder. A shard that does not match its name is dropped with a warning.
"""

import os
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from routecast.embed.protocol import Cut, CutsTexts, Embedder, EmbedderIdentity
from routecast.types import AnyArray, EmbeddingArray, IntArray

SHARD_ROWS: Final = 1_024
"""Texts that are embedded between two writes."""

Progress = Callable[[int, int], None]
"""Called with the number of texts embedded so far, and the number that were not in the cache."""

_ENDING = ".safetensors"
_ABANDONED_S = 86_400.0  # a temporary file of this age belongs to a process that was killed


@dataclass(frozen=True, eq=False)
class _Shard:
    """Keys, shape (n_texts,), and their vectors, shape (n_texts, dimension)."""

    keys: AnyArray
    vectors: EmbeddingArray


class CachedEmbedder:
    """An embedder whose vectors are kept on disk. Safe to share between processes.

    It gives the vectors of the embedder that it wraps, to the bit as they were when first
    embedded. Memory: 16 bytes per text in the cache, one shard, and the vectors that are returned.
    It is made for thousands of texts at a time: every call with unseen texts writes a file.
    """

    def __init__(
        self, embedder: Embedder, folder: Path, *, progress: Progress | None = None
    ) -> None:
        """Keep the embedder's vectors below ``folder``, which is made when there is one to keep."""
        self._embedder = embedder
        self._progress = progress
        self._folder = folder / embedder.identity.digest[:32]
        self._key_of_hash = bytes.fromhex(sha256(embedder.identity.digest.encode()).hexdigest())
        self._shards: list[Path] = []
        self._seen: set[str] = set()
        self._keys = np.empty(0, dtype=np.uint64)  # ascending
        self._homes = np.empty(0, dtype=np.int64)  # the shard of each key
        self._may_write = True

    @property
    def identity(self) -> EmbedderIdentity:
        """The identity of the embedder that is wrapped."""
        return self._embedder.identity

    def cut(self, text: str) -> Cut:
        """Say what the vector of a text leaves out; nothing if the embedder does not say."""
        if isinstance(self._embedder, CutsTexts):
            return self._embedder.cut(text)
        return Cut(n_characters=0, n_tokens=0)

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Return one unit vector per text, shape (n_texts, dimension), from disk where known."""
        embeddings = np.empty((len(texts), self.identity.dimension), dtype=np.float32)
        keys = np.array([self._key(text) for text in texts], dtype=np.uint64)
        missing = self._fill_known(embeddings, keys)
        _, first, inverse = np.unique(keys[missing], return_index=True, return_inverse=True)
        # By length, so that each shard's batches are of texts of about one length.
        order = sorted(range(len(first)), key=lambda row: -len(texts[int(missing[first[row]])]))
        for start in range(0, len(order), SHARD_ROWS):
            rows = order[start : start + SHARD_ROWS]
            positions = missing[first[rows]]
            vectors = self._embedder.embed([texts[int(position)] for position in positions])
            self._store(_Shard(keys[positions], vectors))
            rank = np.full(len(first), -1)
            rank[rows] = np.arange(len(rows))
            found = rank[inverse]
            embeddings[missing[found >= 0]] = vectors[found[found >= 0]]
            if self._progress is not None:
                self._progress(start + len(rows), len(order))
        return embeddings

    def _key(self, text: str) -> int:
        content = text.encode("utf-8", "surrogatepass")
        digest = blake2b(content, digest_size=8, key=self._key_of_hash).digest()
        return int.from_bytes(digest, "little")

    def _fill_known(self, embeddings: EmbeddingArray, keys: AnyArray) -> IntArray:
        """Write the vectors that are on disk; return the positions of the others."""
        self._discover()
        homes = self._find(keys)
        for home in np.unique(homes[homes >= 0]):
            positions = np.flatnonzero(homes == home)
            shard = self._read(self._shards[home])
            if shard is None:
                homes[positions] = -1
                self._forget(int(home))
                continue
            order = np.argsort(shard.keys)
            rows = order[np.searchsorted(shard.keys, keys[positions], sorter=order)]
            embeddings[positions] = shard.vectors[rows]
        return np.flatnonzero(homes < 0)

    def _find(self, keys: AnyArray) -> IntArray:
        """Return the shard that holds each key, -1 where none does."""
        if len(self._keys) == 0:
            return np.full(len(keys), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[places] == keys, self._homes[places], -1)

    def _discover(self) -> None:
        """Learn the keys of shards that this or another process has added."""
        if not self._folder.is_dir():
            return
        fresh: list[tuple[int, AnyArray]] = []
        for path in sorted(self._folder.glob(f"*{_ENDING}")):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            shard = self._read(path)
            if shard is not None:
                fresh.append((len(self._shards), shard.keys))
                self._shards.append(path)
        if fresh:
            self._index(fresh)

    def _index(self, fresh: list[tuple[int, AnyArray]]) -> None:
        keys = np.concatenate([self._keys, *(added for _, added in fresh)])
        homes = [np.full(len(added), home, dtype=np.int64) for home, added in fresh]
        self._keys, kept = np.unique(keys, return_index=True)
        self._homes = np.concatenate([self._homes, *homes])[kept]

    def _forget(self, home: int) -> None:
        """Take a shard that has gone bad out of the index."""
        kept = self._homes != home
        self._keys, self._homes = self._keys[kept], self._homes[kept]

    def _read(self, path: Path) -> _Shard | None:
        """Return a shard, or None if it is gone or not what its name says; never a wrong vector."""
        try:
            content = path.read_bytes()
        except OSError:
            self._seen.discard(path.name)  # another process has dropped it, and may make it again
            return None
        shard = _parse(content) if sha256(content).hexdigest() == path.stem else None
        if shard is not None and shard.vectors.shape[1] == self.identity.dimension:
            return shard
        warnings.warn(
            f"the embedding cache's file {str(path)!r} is damaged; its texts are embedded again",
            stacklevel=2,
        )
        self._seen.discard(path.name)
        with suppress(OSError):
            path.unlink()
        return None

    def _store(self, shard: _Shard) -> None:
        """Write a shard, whole or not at all. A disk that refuses costs the cache, not the work."""
        if not self._may_write:
            return
        content = format_tensors({"keys": shard.keys, "vectors": shard.vectors})
        path = self._folder / f"{sha256(content).hexdigest()}{_ENDING}"
        temporary = self._folder / f".{secrets.token_hex(8)}.tmp"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError as error:
            self._may_write = False
            warnings.warn(
                f"cannot write to the embedding cache {str(self._folder)!r}: {error.strerror}; "
                "going on without it",
                stacklevel=2,
            )
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what processes left that were killed while they wrote."""
        for path in self._folder.glob(".*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()


def _parse(content: bytes) -> _Shard | None:
    """Return what a shard's content holds, or None if that is no shard."""
    try:
        tensors = parse_tensors(content)
    except SafetensorError:
        return None
    keys, vectors = tensors.get("keys"), tensors.get("vectors")
    if keys is None or vectors is None or keys.dtype != np.uint64 or vectors.dtype != np.float32:
        return None
    return _Shard(keys, vectors) if vectors.ndim == 2 and len(keys) == len(vectors) else None


def cached(embedder: Embedder, folder: Path, *, progress: Progress | None = None) -> Embedder:
    """Return an embedder that embeds each text once and keeps the vectors below ``folder``.

    Args:
        embedder: The slow one. Its digest names its vectors: a changed model has none at first.
        folder: Made when needed; see `user_cache_folder` for a place.
        progress: Called after each shard of a call that embeds, for a bar.
    """
    return CachedEmbedder(embedder, folder, progress=progress)


def user_cache_folder(
    environment: Mapping[str, str], *, home: Path, platform: str = sys.platform
) -> Path:
    """Return where this user's caches of embeddings belong; nothing is made there.

    Args:
        environment: Of the process; read are ``XDG_CACHE_HOME`` and, on Windows, ``LOCALAPPDATA``.
        home: The user's home folder.
        platform: As in ``sys.platform``.

    References:
        XDG Base Directory Specification 0.8: paths that are not absolute are ignored.
    """
    if platform == "win32":
        root = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        root = home / "Library" / "Caches"
    else:
        given = Path(environment.get("XDG_CACHE_HOME", ""))
        root = given if given.is_absolute() else home / ".cache"
    return root / "routecast" / "embeddings"
