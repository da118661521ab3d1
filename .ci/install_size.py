"""Fail when the base install outgrows its budget."""

import sys
from pathlib import Path

BUDGET_MB = 150
NOT_OURS = {"pip", "setuptools", "pkg_resources", "_distutils_hack", "__pycache__"}


def main(environment: Path) -> int:
    """Print the size of an environment's packages, bytecode and installers left out."""
    packages = next(environment.glob("lib/python*/site-packages"))
    n_bytes = sum(
        path.stat().st_size
        for path in packages.rglob("*")
        if path.is_file() and not NOT_OURS & {part.partition("-")[0] for part in path.parts}
    )
    print(f"base install: {n_bytes / 1e6:.0f} MB of {BUDGET_MB} MB")
    return int(n_bytes > BUDGET_MB * 1e6)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
