"""Win probabilities kept on disk, so that a slow router scores each set of prompts once.

An entry is one file, named by a digest of the router's artifact, the prompts and this package's
version. It holds the scores behind their own SHA-256, and appears whole by a rename. An entry
that is damaged counts as missing. No prompt is stored.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from routecast.data.files import whole_file
from routecast.errors import ConfigError, DataError
from routecast.types import FloatArray

_ENDING = ".scores"
_N_DIGEST_BYTES = 32


def prompts_digest(prompts: Sequence[str]) -> str:
    """Return SHA-256, in hexadecimal, over the prompts in their order; lone surrogates count."""
    digest = sha256()
    for prompt in prompts:
        content = prompt.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()


def entry_key(*, artifact_digest: str, prompts_digest: str, version: str) -> str:
    """Return the name of an entry: another router, prompt, order or version, another name."""
    return sha256(f"{artifact_digest}\n{prompts_digest}\n{version}".encode()).hexdigest()


@dataclass(frozen=True)
class ScoreCache:
    """A folder of scores. Safe to share between processes.

    Attributes:
        folder: Made when there is something to keep.
    """

    folder: Path

    def load(self, key: str, *, n_prompts: int) -> FloatArray | None:
        """Return the scores under a key, shape (n_prompts,); None if there are none, or damaged."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        stated, payload = content[:_N_DIGEST_BYTES], content[_N_DIGEST_BYTES:]
        if sha256(payload).digest() != stated or len(payload) != 8 * n_prompts:
            return None
        return np.frombuffer(payload, dtype="<f8").astype(np.float64)

    def store(self, key: str, scores: FloatArray) -> None:
        """Keep scores, whole or not at all; a disk that refuses costs the cache, not the work."""
        payload = scores.astype("<f8").tobytes()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path(key)) as file:
                file.write(sha256(payload).digest() + payload)
        except ConfigError:  # another process stores the same scores
            return
        except (DataError, OSError) as error:
            warnings.warn(
                f"cannot write to the score cache {str(self.folder)!r}: {error}; going on without "
                "it",
                stacklevel=2,
            )

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_ENDING}"
