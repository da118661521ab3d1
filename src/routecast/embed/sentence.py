"""Any sentence-transformers model as an embedder, from a folder or from the Hugging Face hub."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from routecast.embed.protocol import Cut, EmbedderIdentity
from routecast.embed.quiet_loading import quiet_loading
from routecast.embed.sentence_folder import find_sentence_folder
from routecast.embed.wordpiece import without_surrogates
from routecast.errors import ArtifactError, MissingExtraError
from routecast.types import EmbeddingArray

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

CHARS_PER_TOKEN: Final = 64
"""Characters that are read of a text, per token of the model's length: far more than it uses."""

MAX_CHARS: Final = 1_048_576
"""Characters that are read of a text by a model that states no length."""

BATCH_SIZE: Final = 32

# What torch, transformers and the modules of a model raise when a file of theirs is damaged.
_DAMAGE = (AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError)


class SentenceEmbedder:
    """Embeds texts by a sentence-transformers model. Safe to share between threads.

    - Of a text, the first `CHARS_PER_TOKEN` characters per token of the model's length are read,
      and of these, what the model reads: its first tokens. `cut` says what is left out.
    - Halves of surrogate pairs are joined, lone surrogates become U+FFFD.
    - Equal texts of one call are embedded once. A text's vector depends on the other texts of the
      call, and on the device, by no more than rounding: about 1e-6 per component.
    - A text of which the model makes nothing (zeros, or no finite numbers) has the vector whose
      components are all equal.
    """

    def __init__(self, model: "SentenceTransformer", identity: EmbedderIdentity) -> None:
        """Serve a model that is loaded; `load_sentence` loads one."""
        self._model = model
        self._identity = identity
        self._lock = threading.Lock()  # its tokenizer changes state while it truncates
        length = model.max_seq_length
        self._max_tokens = length if length and length * CHARS_PER_TOKEN < MAX_CHARS else None
        self._max_chars = self._max_tokens * CHARS_PER_TOKEN if self._max_tokens else MAX_CHARS

    @property
    def identity(self) -> EmbedderIdentity:
        """Name as the user wrote it, the hub's commit, dimension, and digest of the files."""
        return self._identity

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Return one unit vector per text, shape (n_texts, dimension), float32."""
        if not texts:
            return np.empty((0, self._identity.dimension), dtype=np.float32)
        rows: dict[str, int] = {}
        positions = [rows.setdefault(self._readable(text), len(rows)) for text in texts]
        with self._lock:
            vectors = self._model.encode(  # sorts by length before it makes batches
                list(rows), batch_size=BATCH_SIZE, show_progress_bar=False, convert_to_numpy=True
            )
        return _unit(np.asarray(vectors, dtype=np.float32))[positions]

    def cut(self, text: str) -> Cut:
        """Say what the vector of a text leaves out, from its end."""
        readable = self._readable(text)
        n_characters = max(0, len(text) - self._max_chars)
        if self._max_tokens is None or len(readable) < self._max_tokens - 8:
            return Cut(n_characters=n_characters, n_tokens=0)
        with self._lock:
            # `tokenize` cuts, so count on the tokenizer itself, which warns of long texts.
            ids = self._model.tokenizer(readable, truncation=False, verbose=False)["input_ids"]
        return Cut(n_characters=n_characters, n_tokens=max(0, len(ids) - self._max_tokens))

    def _readable(self, text: str) -> str:
        """Return what is handed to the tokenizer."""
        head = text[: self._max_chars]
        return head if head.isascii() else without_surrogates(head)


def _unit(vectors: EmbeddingArray) -> EmbeddingArray:
    """Scale each row to length 1; rows that have no direction get the diagonal's."""
    lost = ~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1)
    vectors[lost] = 1.0
    unit: EmbeddingArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def load_sentence(where: str, *, device: str | None = None) -> SentenceEmbedder:
    """Load a sentence-transformers model.

    Args:
        where: Its folder, or its id on the Hugging Face hub. A folder never needs the network, a
            hub id only the first time.
        device: As torch names it; an accelerator where there is one when None.

    Raises:
        ConfigError: If there is no such folder, or the hub's model cannot be fetched.
        ArtifactError: If the folder is no sentence-transformers model or is damaged.
        MissingExtraError: If sentence-transformers is not installed.
    """
    found = find_sentence_folder(where)
    try:
        import sentence_transformers
    except ModuleNotFoundError:
        raise MissingExtraError(f"the embedder 'sentence:{where}'", "torch") from None
    from safetensors import SafetensorError

    try:
        with quiet_loading():
            model = sentence_transformers.SentenceTransformer(
                str(found.folder),
                device=device,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": "float32"},
            )
            dimension = len(model.encode("", show_progress_bar=False))
    except (*_DAMAGE, SafetensorError) as error:
        raise ArtifactError(
            f"cannot load the sentence-transformers model in {str(found.folder)!r}: {error}; "
            "copy the whole folder again, or try it with sentence-transformers itself"
        ) from error
    identity = EmbedderIdentity(
        name=f"sentence:{where}", revision=found.revision, dimension=dimension, digest=found.digest
    )
    return SentenceEmbedder(model, identity)
