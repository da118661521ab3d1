"""How every table of routecast.toml is read, and the kinds of value that several hold."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from routecast.upstream.secrets import ACCEPTED, is_secret_reference


class Table(BaseModel):
    """A TOML table: unknown keys are refused, and nothing is converted silently."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )


def _check_reference(value: str) -> str:
    if not is_secret_reference(value):
        raise ValueError(f"a secret must not be written out; accepted: {ACCEPTED}")
    return value


def _check_name(value: str) -> str:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("accepted: a name of printable ASCII without spaces")
    return value


SecretReference = Annotated[str, AfterValidator(_check_reference)]
Name = Annotated[str, AfterValidator(_check_name)]
