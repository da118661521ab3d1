"""TLS by files."""

from pathlib import Path

import pytest

from routecast.errors import ConfigError
from routecast.gateway.tls import find_tls_files
from routecast.policy.settings import ServerSettings

FOLDER = Path(__file__).parent / "tls"


def settings(certificate: str = "certificate.pem", key: str = "key.pem") -> ServerSettings:
    return ServerSettings(tls_certificate=certificate, tls_key=key)


def test_without_files_there_is_no_tls() -> None:
    assert find_tls_files(ServerSettings(), folder=FOLDER) is None


def test_relative_paths_begin_at_the_settings_file_s_folder() -> None:
    files = find_tls_files(settings(), folder=FOLDER)
    assert files is not None
    assert files.certificate == FOLDER / "certificate.pem"
    absolute = find_tls_files(
        settings(str(FOLDER / "certificate.pem"), str(FOLDER / "key.pem")), folder=Path("elsewhere")
    )
    assert absolute == files


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        ("none.pem", "key.pem", r"server.tls_certificate = '.*none.pem' cannot be read: No such"),
        ("certificate.pem", "none.pem", "server.tls_key = '.*none.pem' cannot be read"),
        (".", "key.pem", "server.tls_certificate.* cannot be read: Is a directory"),
        ("certificate.pem", "other_key.pem", "KEY_VALUES_MISMATCH.*the private key that belongs"),
        ("README.md", "key.pem", "cannot be used"),
        ("certificate.pem", "README.md", "cannot be used"),
        ("certificate.pem", "key_with_passphrase.pem", "is protected by a passphrase"),
    ],
)
def test_files_that_cannot_be_used_are_named(certificate: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_tls_files(settings(certificate, key), folder=FOLDER)
