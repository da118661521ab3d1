"""What the two neural routers have with labels of MMLU, from the pages of their own runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "results"
PAGES = {"bert": RESULTS / "bert.md", "causal": RESULTS / "causal.md"}
_SECTION, _TRAINED_ON = "## mmlu", "1,531 gold labels of MMLU"


@dataclass(frozen=True)
class NeuralFigure:
    """A row of such a page.

    Attributes:
        router: ``bert`` or ``causal``, or a baseline on the same page.
        page: File name of the page.
        n_evaluated: Prompts, as the page writes it.
        apgr: Mean over the draws, its 95% interval in brackets, the worst draw, likewise.
    """

    router: str
    page: str
    n_evaluated: str
    apgr: str


def neural_figures() -> list[NeuralFigure]:
    """Read what was measured with gold labels of MMLU, with the baselines of the same draws.

    Raises:
        ValueError: If a page has no such row of its router.
    """
    found = []
    for router, page in PAGES.items():
        rows = list(_gold_rows(page))
        if router not in [row.router for row in rows]:
            raise ValueError(f"{page} has no row of {router!r} with {_TRAINED_ON}")
        found += rows
    return found


def _gold_rows(page: Path) -> Iterator[NeuralFigure]:
    """Yield the rows of the first table of MMLU that learned from gold labels."""
    text = page.read_text(encoding="utf-8").partition(f"\n{_SECTION}")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    header = next(row for row in rows if "router" in row)
    places = [header.index(name) for name in ("router", "N", "APGR")]
    for row in rows:
        if row and _TRAINED_ON in row[0]:
            router, n_evaluated, apgr = (row[place] for place in places)
            yield NeuralFigure(router, page.name, n_evaluated, apgr)
