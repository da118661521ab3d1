"""Data sets of the Hugging Face Hub, named as ``hf:OWNER/NAME``."""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from routecast.data.sources import RowOrFault, Source, source_of_rows
from routecast.errors import DataError, MissingExtraError

PREFIX = "hf:"
_GATED = ("gated", "authenticat", "401 ", "403 ")


def open_hub(name: str, *, split: str | None = None) -> Source:
    """Open a data set by the ``datasets`` library, which downloads it once and then keeps it.

    Args:
        name: ``hf:`` and the data set's id.
        split: Which split. When None: the only one, or ``train``.

    Raises:
        DataError: If the id is empty, the Hub cannot be reached, the data set is not there, is
            gated, is in a form that ``datasets`` does not load, or has no such split.
        MissingExtraError: If ``datasets`` is not installed.
    """
    dataset_id = name.removeprefix(PREFIX).strip("/ ")
    if not dataset_id:
        raise DataError(f"{name!r} names no data set; accepted is {PREFIX}OWNER/NAME")
    try:
        datasets = import_module("datasets")
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"reading {name}", "hub") from error
    chosen = _choose_split(_load(datasets, dataset_id), dataset_id, split)

    def rows() -> Iterator[RowOrFault]:
        yield from enumerate(chosen, start=1)

    return source_of_rows(name, rows, n_numbers=len(chosen))


def _load(datasets: ModuleType, dataset_id: str) -> Any:  # noqa: ANN401 (a library's own type)
    try:
        return datasets.load_dataset(dataset_id)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise _refusal(dataset_id, error) from error


def _refusal(dataset_id: str, error: Exception) -> DataError:
    """Say in our words why a data set did not load."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if any(sign in str(error) for sign in _GATED):
        return DataError(
            f"data set {dataset_id!r} is gated or private: {reason}; accept its terms on "
            f"https://huggingface.co/datasets/{dataset_id} and log in with: hf auth login"
        )
    if isinstance(error, ConnectionError):
        return DataError(
            f"data set {dataset_id!r} cannot be fetched: {reason}; go online once, or download its "
            "files elsewhere and name one of them"
        )
    return DataError(
        f"data set {dataset_id!r} cannot be loaded: {reason}; check the id, or download one of its "
        "files and name that"
    )


def _choose_split(loaded: Any, dataset_id: str, split: str | None) -> Any:  # noqa: ANN401
    names = list(loaded)
    if split is None:
        split = names[0] if len(names) == 1 else "train"
    if split not in names:
        raise DataError(
            f"data set {dataset_id!r} has no split {split!r}; give --split with one of {names!r}"
        )
    return loaded[split]
