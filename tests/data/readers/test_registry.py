"""The readers by name."""

import pytest

from routecast.data.readers.registry import find_reader, reader_names
from routecast.errors import DataError


@pytest.mark.parametrize("name", reader_names())
def test_every_registered_name_resolves_to_a_documented_function(name: str) -> None:
    reader = find_reader(name)
    assert callable(reader)
    assert "Raises:" in (reader.__doc__ or "")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"did you mean 'matrix'\? choose one of \['alpacaeval'"):
        find_reader("matrx")
