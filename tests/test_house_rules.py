"""Rules of docs/architecture.md that no linter knows."""

import ast
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "routecast"
MODULES = sorted(SOURCE.rglob("*.py"))
TEST_MODULES = sorted(Path(__file__).parent.rglob("*.py"))

HEAVY_FOR_IMPORT = {
    "aiohttp", "asyncio", "matplotlib", "msgspec", "openai", "plotly", "polars",
    "prometheus_client", "pydantic", "rich", "safetensors", "scipy", "sklearn", "sqlalchemy",
    "starlette", "tokenizers", "torch", "transformers", "typer", "uvicorn",
}  # fmt: skip
HEAVY_FOR_HELP = HEAVY_FOR_IMPORT - {"asyncio", "rich", "typer"}


def modules_loaded_by(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and name the top-level modules that it loaded."""
    program = (
        "import json, sys\n"
        "try:\n"
        f"    {statement}\n"
        "except SystemExit:\n"
        "    pass\n"
        "names = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "print('\\n' + json.dumps(names))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(run.stdout.splitlines()[-1]))


def functions() -> Iterator[tuple[str, int]]:
    """Every function of the package with its number of lines, docstring left out."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                last = node.end_lineno or node.lineno
                first = body[0].lineno if body else last
                yield f"{path.relative_to(SOURCE)}:{node.name}", last - first + 1


def imports_by_module(modules: list[Path], root: Path) -> dict[str, set[str]]:
    """Modules that each module imports: at the top, late in a function, and for types only.

    Of ``from package import name``, where the name is no module, the package is imported. Modules
    that a table names by text (``import_module``) do not count: nobody who reads the table imports
    them all.
    """
    paths = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in modules
    }
    found: dict[str, set[str]] = {name: set() for name in paths}
    for name, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found[name].update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                ours = (f"{node.module}.{alias.name}" for alias in node.names)
                found[name].update(one if one in paths else node.module or "" for one in ours)
    return {name: (imported & paths.keys()) - {name} for name, imported in found.items()}


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = imports_by_module(MODULES, SOURCE.parent)
    assert len(modules["routecast.cli.main"]) > 5  # the reader of imports does see some
    TopologicalSorter(modules).prepare()  # raises CycleError, which names the modules


def test_a_circle_by_a_late_import_and_one_for_types_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def late():\n    from two import x\n    return x\n")
    (tmp_path / "two.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from one import y\nx = 1\n"
    )
    modules = imports_by_module(sorted(tmp_path.glob("*.py")), tmp_path)
    assert modules == {"one": {"two"}, "two": {"one"}}
    with pytest.raises(CycleError, match="cycle"):
        TopologicalSorter(modules).prepare()


def test_importing_routecast_loads_nothing_heavier_than_numpy() -> None:
    assert modules_loaded_by("import routecast") & HEAVY_FOR_IMPORT == set()


def test_help_loads_no_library_that_only_a_command_needs() -> None:
    statement = "sys.argv = ['routecast', '--help']; from routecast.cli.main import main; main()"
    assert modules_loaded_by(statement) & HEAVY_FOR_HELP == set()


def test_importing_routecast_stays_quick_enough_to_be_ignored() -> None:
    # A count of modules, not a time: machines differ. Python with numpy loads about 150.
    assert len(modules_loaded_by("import routecast")) < 200


def test_no_module_is_longer_than_500_lines() -> None:
    n_lines = {path: len(path.read_text().splitlines()) for path in [*MODULES, *TEST_MODULES]}
    assert {path: n for path, n in n_lines.items() if n > 500} == {}


def test_the_median_module_is_short() -> None:
    lengths = [len(path.read_text().splitlines()) for path in MODULES]
    assert statistics.median([length for length in lengths if length > 1]) <= 150


def test_no_function_is_longer_than_60_lines() -> None:
    assert [name for name, n_lines in functions() if n_lines > 60] == []


def test_the_median_function_is_short() -> None:
    assert statistics.median(n_lines for _, n_lines in functions()) <= 15


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty_words = {"utils", "helpers", "common", "base", "misc"}
    assert [path for path in MODULES if path.stem in empty_words] == []


def test_nothing_is_ever_unpickled() -> None:
    forbidden = {"pickle", "cPickle", "dill", "joblib", "shelve", "cloudpickle"}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.partition(".")[0] for name in names} & forbidden, path
