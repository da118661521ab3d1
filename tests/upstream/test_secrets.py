"""Secrets by reference."""

from pathlib import Path

import pytest

from routecast.errors import ConfigError
from routecast.upstream.secrets import is_secret_reference, resolve_secret

SECRET = "sk-0123456789abcdef"


def test_a_secret_is_read_from_the_environment_that_was_handed_in() -> None:
    assert resolve_secret("env:KEY", {"KEY": f" {SECRET}\n"}) == SECRET


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n")
    assert resolve_secret(f"file:{tmp_path / 'key'}", {}) == SECRET


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="environment variable 'KEY' is not set"):
        resolve_secret("env:KEY", {"OTHER": SECRET})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (f"{SECRET}\n{SECRET}".encode(), "one word"),
        (f"Bearer {SECRET}".encode(), "one word"),
        ("sk-ключ".encode(), "one word"),
        (b"\xff\xfe", "is not text"),
    ],
)
def test_a_file_that_holds_no_key_is_named_and_not_quoted(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=fault) as caught:
        resolve_secret(f"file:{tmp_path / 'key'}", {})
    assert str(tmp_path / "key") in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        resolve_secret(f"file:{tmp_path / 'key'}", {})


def test_a_folder_is_no_secret_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        resolve_secret(f"file:{tmp_path}", {})


@pytest.mark.parametrize("literal", [SECRET, "env:", "file: ", "vault:x", ""])
def test_a_literal_is_no_reference_and_is_not_repeated(literal: str) -> None:
    assert not is_secret_reference(literal)
    with pytest.raises(ConfigError, match="'env:NAME'") as caught:
        resolve_secret(literal, {})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("reference", ["env:sk-SECRET", "file:sk-SECRET"])
def test_a_secret_in_place_of_its_place_is_not_repeated(reference: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_secret(reference, {})
    assert "sk-SECRET" not in str(caught.value)
