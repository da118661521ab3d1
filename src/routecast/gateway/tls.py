"""TLS by two files: checked before anything else starts, with a message that names the setting."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from routecast.errors import ConfigError
from routecast.policy.settings import ServerSettings


@dataclass(frozen=True, kw_only=True)
class TlsFiles:
    """What a server needs to speak TLS.

    Attributes:
        certificate: The certificate, then those that vouch for it, in PEM.
        key: Its private key in PEM, without a passphrase.
    """

    certificate: Path
    key: Path


def find_tls_files(settings: ServerSettings, *, folder: Path) -> TlsFiles | None:
    """Return the files that the settings name, read once to see that they fit; None for no TLS.

    Args:
        settings: With both settings or neither.
        folder: Where relative paths begin: the settings file's own folder.

    Raises:
        ConfigError: If a file cannot be read, is no PEM, wants a passphrase, or the key is not
            the certificate's.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    files = TlsFiles(
        certificate=folder / Path(settings.tls_certificate).expanduser(),
        key=folder / Path(settings.tls_key).expanduser(),
    )
    for name, path in (("tls_certificate", files.certificate), ("tls_key", files.key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"server.{name} = {str(path)!r} cannot be read: {error.strerror}; name a PEM file"
            ) from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(files.certificate, files.key, password=_refuse_passphrase)
    except ssl.SSLError as error:
        raise ConfigError(
            f"server.tls_certificate {str(files.certificate)!r} and server.tls_key "
            f"{str(files.key)!r} cannot be used ({error.reason or 'no PEM'}); accepted are a PEM "
            "certificate and the private key that belongs to it"
        ) from None
    return files


def _refuse_passphrase() -> str:
    raise ConfigError(
        "server.tls_key is protected by a passphrase, and nobody is there to type it; give a key "
        "without one, readable by the gateway's user alone"
    )
