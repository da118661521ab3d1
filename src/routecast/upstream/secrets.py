"""Secrets by reference: settings say where a key is, and never what it is."""

from collections.abc import Mapping
from pathlib import Path

from routecast.errors import ConfigError

ACCEPTED = "'env:NAME' (an environment variable) or 'file:PATH' (a file that holds nothing else)"


def is_secret_reference(text: str) -> bool:
    """Return whether ``text`` points at a secret; a literal secret does not."""
    kind, _, place = text.partition(":")
    return kind in {"env", "file"} and bool(place.strip())


def resolve_secret(
    reference: str, environ: Mapping[str, str], *, folder: Path | None = None
) -> str:
    """Return the secret that a reference points at.

    Args:
        reference: ``env:NAME`` or ``file:PATH``.
        environ: The environment, handed in by whoever stands at the edge.
        folder: Where relative paths begin; the working directory if None.

    Returns:
        The secret without surrounding white space: printable ASCII, never empty.

    Raises:
        ConfigError: If it is no reference, or the variable or file is missing, empty or not
            usable in a header. The message names the variable or the file, never the secret.
    """
    if not is_secret_reference(reference):
        raise ConfigError(f"a secret must not be written out; give {ACCEPTED}")
    kind, _, place = reference.partition(":")
    if kind == "env":
        name = place.strip()
        if not name.isidentifier():  # perhaps the secret itself, so it is not shown
            raise ConfigError(
                "what follows 'env:' is no name of an environment variable; give env:NAME, NAME "
                "of letters, digits and underscores"
            )
        source = f"environment variable {name!r}"
        if name not in environ:
            raise ConfigError(f"{source} is not set; set it, or point the setting elsewhere")
        secret = environ[name].strip()
    else:
        looks_like_path = any(mark in place for mark in "/\\.")
        source = f"secret file {place!r}" if looks_like_path else "the secret file"
        secret = _read_secret(Path(place).expanduser(), folder or Path(), source)
    if not secret:
        raise ConfigError(f"{source} is empty; put the key there")
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise ConfigError(f"{source} holds more than one key: it must be one word of plain ASCII")
    return secret


def _read_secret(path: Path, folder: Path, source: str) -> str:
    try:
        return (folder / path).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{source} is not text; write the key into it and nothing else") from None
    except OSError as error:
        searched = "" if path.is_absolute() else f"; looked in {str(folder.absolute())!r}"
        raise ConfigError(f"{source} cannot be read: {error.strerror}{searched}") from None
