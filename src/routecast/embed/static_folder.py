"""A static embedder on disk: ``manifest.json``, ``tokenizer.json`` and ``vectors.safetensors``.

The manifest holds the SHA-256 of the other two. Nothing is ever unpickled.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors

from routecast.embed.protocol import EmbedderIdentity
from routecast.errors import ArtifactError
from routecast.types import AnyArray, EmbeddingArray

FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"
TOKENIZER_NAME = "tokenizer.json"
VECTORS_NAME = "vectors.safetensors"
_AGAIN = "install routecast again, or copy the whole folder again"


@dataclass(frozen=True, kw_only=True, eq=False)
class StaticFolder:
    """What the folder holds, its digests checked.

    Attributes:
        identity: Its digest is SHA-256 over the lines ``NAME DIGEST`` of the two files, sorted.
        tokenizer_json: Content of ``tokenizer.json``.
        vectors: One per token id, shape (n_tokens, dimension); zeros for tokens that say nothing.
        nothing: The unit vector of a text without tokens, shape (dimension,).
    """

    identity: EmbedderIdentity
    tokenizer_json: bytes
    vectors: EmbeddingArray
    nothing: EmbeddingArray


class _Version(msgspec.Struct):
    """The one field that every format version has."""

    format_version: int


class _Manifest(msgspec.Struct, frozen=True):
    name: str
    revision: str
    dimension: int
    n_tokens: int
    files: dict[str, str]


def read_static_folder(folder: Path) -> StaticFolder:
    """Read the folder and check every digest.

    Raises:
        ArtifactError: If a file is missing, changed or unreadable, does not hold what the
            manifest says, or has a newer format version than this Routecast reads.
    """
    manifest = _read_manifest(folder)
    contents = {name: _read_checked(folder, name, manifest) for name in manifest.files}
    tensors = _read_tensors(folder / VECTORS_NAME, contents[VECTORS_NAME], manifest)
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(manifest.files.items()))
    identity = EmbedderIdentity(
        name=manifest.name,
        revision=manifest.revision,
        dimension=manifest.dimension,
        digest=sha256(lines.encode()).hexdigest(),
    )
    return StaticFolder(
        identity=identity,
        tokenizer_json=contents[TOKENIZER_NAME],
        vectors=np.multiply(tensors["rows"], tensors["scales"][:, None], dtype=np.float32),
        nothing=tensors["nothing"],
    )


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ArtifactError(f"{str(folder)!r} holds no {MANIFEST_NAME}; {_AGAIN}")
    content = path.read_bytes()
    try:
        version = msgspec.json.decode(content, type=_Version).format_version
        if version > FORMAT_VERSION:
            raise ArtifactError(
                f"{path} has format version {version!r}; this Routecast reads up to "
                f"{FORMAT_VERSION}: upgrade with pip install --upgrade routecast"
            )
        manifest = msgspec.json.decode(content, type=_Manifest)
    except msgspec.DecodeError as error:
        raise ArtifactError(f"{path} is not a readable manifest: {error}; {_AGAIN}") from None
    if set(manifest.files) != {TOKENIZER_NAME, VECTORS_NAME}:
        raise ArtifactError(
            f"{path} lists the files {sorted(manifest.files)!r}; "
            f"accepted are {TOKENIZER_NAME!r} and {VECTORS_NAME!r}; {_AGAIN}"
        )
    return manifest


def _read_checked(folder: Path, name: str, manifest: _Manifest) -> bytes:
    """Return a file's content if its digest is the manifest's."""
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; {_AGAIN}")
    content = path.read_bytes()
    digest = sha256(content).hexdigest()
    if digest != manifest.files[name]:
        raise ArtifactError(
            f"{path} is truncated or changed: its SHA-256 is {digest!r} where the manifest says "
            f"{manifest.files[name]!r}; {_AGAIN}"
        )
    return content


def _read_tensors(path: Path, content: bytes, manifest: _Manifest) -> dict[str, AnyArray]:
    """Return the tensors if they have the types and shapes of this format version."""
    try:
        tensors = parse_tensors(content)
    except SafetensorError as error:
        raise ArtifactError(f"{path} is not a safetensors file: {error}; {_AGAIN}") from None
    n_tokens, dimension = manifest.n_tokens, manifest.dimension
    accepted = {
        "rows": ("int8", (n_tokens, dimension)),
        "scales": ("float32", (n_tokens,)),
        "nothing": ("float32", (dimension,)),
    }
    found = {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()}
    if found != accepted:
        raise ArtifactError(f"{path} holds {found!r}; accepted is {accepted!r}; {_AGAIN}")
    if not (np.isfinite(tensors["scales"]).all() and np.isfinite(tensors["nothing"]).all()):
        raise ArtifactError(f"{path} holds numbers that are not finite; {_AGAIN}")
    return tensors
