"""The hot path's length, which no machine's speed changes: see benchmarks/path_length.py."""

import importlib.util
import json
import warnings
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = "python benchmarks/path_length.py --output results/path_length.json"
Figures = dict[str, dict[str, int]]
LONGER = {"n_lines": 1.15, "n_c_calls": 1.15, "n_bytes": 1.4}
"""Python's versions differ by some lines, numpy's by some bytes."""


@pytest.fixture(scope="module")
def path_length() -> ModuleType:
    """The benchmark's module."""
    path = ROOT / "benchmarks" / "path_length.py"
    spec = importlib.util.spec_from_file_location("path_length", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(counted: Figures, committed: Figures) -> None:
    """Fail where a step takes more than it did; warn where it takes a third less."""
    assert counted.keys() == committed.keys()
    for step, figures in committed.items():
        for name, figure in figures.items():
            now = counted[step][name]
            assert now <= figure * LONGER[name], (
                f"{step} takes {now} {name}, {figure} before: shorten it, or say in the commit "
                f"why it must be so and run: {COMMAND}"
            )
            if now < figure * 0.7:
                warnings.warn(f"{step} has become shorter; to keep it so: {COMMAND}", stacklevel=1)


@pytest.mark.filterwarnings("default:.* has become shorter")
def test_the_hot_path_has_not_become_longer(path_length: ModuleType) -> None:
    committed = json.loads((ROOT / "results" / "path_length.json").read_text())
    compare(path_length.count_all(), committed)


def test_a_longer_path_fails_and_a_shorter_one_passes_with_a_word() -> None:
    with pytest.raises(AssertionError, match="step takes 116 n_lines, 100 before"):
        compare({"step": {"n_lines": 116}}, {"step": {"n_lines": 100}})
    with pytest.warns(UserWarning, match="step has become shorter"):
        compare({"step": {"n_lines": 60}}, {"step": {"n_lines": 100}})


def test_only_our_own_lines_are_counted(path_length: ModuleType) -> None:
    from routecast.policy.cuts import tie_draw

    with path_length.PathCounter() as counter:
        json.dumps({"a": [1, 2, 3]})
        sorted(str(number) for number in range(100))
    assert (counter.n_lines, counter.n_c_calls) == (0, 0)
    with path_length.PathCounter() as counter:
        tie_draw("a prompt")
    # One statement over three lines makes the digest, another returns the number; encode, digest
    # and from_bytes are C. (Making a blake2b object is not seen as a call.)
    assert 2 <= counter.n_lines <= 6
    assert counter.n_c_calls == 3
