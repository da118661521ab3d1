"""An array's elements, a run at a time, as the standard library reads them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.gateway import elements
from routecast.gateway.elements import MAX_RUN_BYTES, Elements, find_runs

values = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(["\\", '"', '\\"', "[", ",", "]}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@contextmanager
def small_windows(window_bytes: int, run_bytes: int = MAX_RUN_BYTES) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elements, "_WINDOW_BYTES", window_bytes)
        patch.setattr(elements, "MAX_RUN_BYTES", run_bytes)
        yield


def read_run(run: bytes) -> list[Any]:
    assert len(run) < elements.MAX_RUN_BYTES + len("[]")
    parsed = json.loads(run)
    assert isinstance(parsed, list)
    return parsed


def read_large(element: bytes) -> list[Any]:
    return [json.loads(element)]


def test_runs_end_at_the_commas_between_elements() -> None:
    # The window of 8 bytes after the bracket holds '1, "a,b"', the next ', [2, 3]'; of the first
    # the one comma outside the string ends a run, of the second the one outside the brackets.
    array = b'[1, "a,b", [2, 3]]'
    with small_windows(8):
        assert [array[start:end] for start, end in find_runs(array)] == [
            b"1",
            b' "a,b"',
            b" [2, 3]",
        ]


@pytest.mark.parametrize("array", [b"[]", b"[ ]", b"[\n\t ]"])
def test_an_empty_array_has_no_runs(array: bytes) -> None:
    assert list(find_runs(array)) == []


@pytest.mark.parametrize("window_bytes", [1, 2, 3, 7, 64])
@given(array=st.lists(values, max_size=12), indent=st.sampled_from([None, 1]))
def test_elements_are_those_of_the_standard_library_however_the_array_is_cut(
    window_bytes: int, array: list[Any], indent: int | None
) -> None:
    for ascii_only in (True, False):
        text = json.dumps(array, indent=indent, ensure_ascii=ascii_only)
        with small_windows(window_bytes, 2 * window_bytes):
            found = Elements(text.encode("utf-8"), read_run, read_large)
            assert list(found) == array
            assert list(reversed(found)) == array[::-1]


@pytest.mark.parametrize("n_backslashes", range(9))
@pytest.mark.parametrize("window_bytes", [1, 2, 3, 4, 5])
def test_backslashes_before_a_window_s_end_are_counted(
    n_backslashes: int, window_bytes: int
) -> None:
    array = ["\\" * n_backslashes + '",[', n_backslashes]
    with small_windows(window_bytes, 4):
        assert list(Elements(json.dumps(array).encode(), read_run, read_large)) == array


def test_no_run_of_several_elements_is_large() -> None:
    sizes = [1, 5, 70_000, 3, 200_000, 65_530, 2, 131_071, 131_072, 9] * 3
    array = ["x" * size for size in sizes]
    content = json.dumps(array).encode()
    runs = list(find_runs(content))
    assert [text for start, end in runs for text in json.loads(b"[%b]" % content[start:end])] == (
        array
    )
    for start, end in runs:
        n_elements = len(json.loads(b"[%b]" % content[start:end]))
        assert n_elements == 1 or end - start < MAX_RUN_BYTES


@pytest.mark.parametrize("array", [b"[", b"[1,", b'["', b'["\\', b"[]]", b"", b"[}", b'{"a":1}'])
def test_what_is_no_array_ends_without_a_crash(array: bytes) -> None:
    assert len(list(find_runs(array))) <= 2
