"""Runs are scripts beside the package: their modules are found from the root."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def few_labels() -> Iterator[ModuleType]:
    """The study, with the modules that it is made of as attributes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        names = ("bars", "blend_fits", "cells", "figure", "fits", "page", "sets")
        modules = {name: import_module(f"runs.few_labels.{name}") for name in names}
        study = import_module("runs.study_few_labels")
        for name, module in modules.items():
            patch.setattr(study, name, module, raising=False)
        yield study
