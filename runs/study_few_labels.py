"""What few labels of one's own are worth, on every labelled set.

    python -m runs.study_few_labels --data DIR [--sentence FOLDER --embeddings CACHE]
        [--output results/few_labels.md] [--sets mmlu ...] [--static-only routerdc ...] [--jobs 4]
    python -m runs.study_few_labels --data DIR --quick --output FILE

DIR holds the labelled sets. Each split draws labels from one set, by prompt, and evaluates on the
rest; nothing else of the set is used. FOLDER is a sentence-transformers model, all-MiniLM-L6-v2 in
the committed page; its vectors are kept in CACHE. Beside the page are written the figures it was
made from, with the ending ``json``, and a picture per embedder; ``--again`` makes page and pictures
from those figures. ``--quick`` takes a minute, and fails where `blend` is not ahead of length or of
a random order by more than noise. No prompt is written anywhere.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec
from runs.few_labels.bars import shortfalls
from runs.few_labels.cells import Cell, figures_of, measure_splits
from runs.few_labels.figure import write_figure
from runs.few_labels.page import page_lines
from runs.few_labels.sets import PAIRS, Pair, read_labelled, read_sample

from routecast.data.files import whole_file
from routecast.embed.cache import cached
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder

N_SPLITS = {100: 10, 300: 10, 1_000: 5, 1_531: 10, 3_000: 5, 10_000: 3}
"""Draws by number of labels: ten where something was asked for beforehand, and of the fewest."""

STATIC, SENTENCE = "static", "sentence"
QUICK_SETS, QUICK_SPLITS = ("mmlu", "gsm8k", "llmrouter"), {300: 2, 1_000: 2}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A cell to measure, and where its parts lie."""

    pair: Pair
    embedder: str
    n_labels: int
    n_splits: int
    folder: Path
    sentence: str | None
    cache: Path | None

    def load_embedder(self) -> Embedder:
        """Return the embedder, its vectors kept where that was asked for."""
        if self.embedder == STATIC:
            return load_embedder(STATIC)
        embedder = load_embedder(f"sentence:{self.sentence}")
        return cached(embedder, self.cache) if self.cache else embedder


def main() -> int:
    """Measure what was asked for, write the page, and say what falls short."""
    arguments = _arguments()
    figures = arguments.output.with_suffix(".json")
    if arguments.again:
        cells = read_cells(figures)
    else:
        cells = measure(_jobs(arguments), n_processes=arguments.jobs, figures=figures)
    pictures = [
        write_figure([cell for cell in cells if cell.embedder == name], _picture(arguments, name))
        for name in dict.fromkeys(cell.embedder for cell in cells)
    ]
    page = "\n".join(page_lines(cells, [path.name for path in pictures]))
    _write(arguments.output, page.encode())
    print(page)
    short = shortfalls(cells) if arguments.quick else []
    for line in short:
        print(line, file=sys.stderr)
    return 1 if short else 0


def measure(jobs: Sequence[Job], *, n_processes: int, figures: Path) -> list[Cell]:
    """Measure the cells in processes of one thread each; the figures are written as they come."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of the processes
    cells: dict[int, Cell] = {}
    with ProcessPoolExecutor(n_processes, multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(embed_all, _first_of_each_file(jobs)):
            pass
        order = sorted(range(len(jobs)), key=lambda number: -jobs[number].n_labels)
        running = {pool.submit(measure_cell, jobs[number]): number for number in order}
        for done in as_completed(running):
            cell = done.result()
            if cell is not None:
                cells[running[done]] = cell
                _write(figures, msgspec.json.encode([cells[number] for number in sorted(cells)]))
                print(cell.title, cell.embedder, cell.n_labels, file=sys.stderr, flush=True)
    return [cells[number] for number in sorted(cells)]


def read_cells(figures: Path) -> list[Cell]:
    """Read what an earlier run measured."""
    return msgspec.json.decode(figures.read_bytes(), type=list[Cell])


def embed_all(job: Job) -> None:
    """Put the vectors of a set into the cache, so that no two processes embed them."""
    job.load_embedder().embed(read_labelled(job.pair, job.folder).prompts)


def measure_cell(job: Job) -> Cell | None:
    """Measure one cell; None where it leaves too few prompts to evaluate on."""
    embedder = job.load_embedder()
    sample = read_sample(job.pair, embedder, job.folder)
    splits = measure_splits(sample, embedder.identity, n_labels=job.n_labels, n_splits=job.n_splits)
    if not splits:
        return None
    refused = [name for split in splits for name in split.scored.refused]
    return Cell(
        set_name=job.pair.name,
        title=job.pair.title,
        embedder=job.embedder,
        n_labels=job.n_labels,
        n_prompts=len(sample.prompts),
        n_evaluated=min(split.n_evaluated for split in splits),
        routers=figures_of(splits),
        calibration_errors=tuple(split.scored.calibration_error for split in splits),
        abstained=tuple(split.scored.abstained for split in splits),
        n_refused={name: refused.count(name) for name in sorted(set(refused))},
    )


def _jobs(arguments: argparse.Namespace) -> list[Job]:
    """List the cells, pair by pair, those of one set together."""
    names = [pair.name for pair in PAIRS]
    return [
        Job(
            pair=pair,
            embedder=embedder,
            n_labels=n_labels,
            n_splits=n_splits,
            folder=arguments.data,
            sentence=arguments.sentence,
            cache=arguments.embeddings,
        )
        for pair in sorted(PAIRS, key=lambda one: names.index(one.name))
        if pair.name in arguments.sets
        for embedder in _embedders(arguments, pair)
        for n_labels, n_splits in (QUICK_SPLITS if arguments.quick else N_SPLITS).items()
    ]


def _embedders(arguments: argparse.Namespace, pair: Pair) -> Iterator[str]:
    yield STATIC
    if arguments.sentence and pair.name not in arguments.static_only:
        yield SENTENCE


def _first_of_each_file(jobs: Sequence[Job]) -> list[Job]:
    """Return one job for each file whose sentence vectors are kept."""
    kept = {
        (job.pair.file, job.pair.group): job
        for job in jobs
        if job.embedder == SENTENCE and job.cache is not None
    }
    return list(kept.values())


def _picture(arguments: argparse.Namespace, embedder: str) -> Path:
    output: Path = arguments.output
    return output.with_name(f"{output.stem}_{embedder}.svg")


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write(content)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = sorted({pair.name for pair in PAIRS})
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled sets")
    parser.add_argument("--output", type=Path, default=Path("results/few_labels.md"))
    parser.add_argument("--sentence", help="a sentence-transformers model's folder")
    parser.add_argument("--embeddings", type=Path, help="a folder to keep its vectors in")
    parser.add_argument("--sets", nargs="+", choices=names, default=None)
    parser.add_argument("--static-only", nargs="*", choices=names, default=[])
    parser.add_argument("--jobs", type=int, default=4, help="processes, of one thread each")
    parser.add_argument("--quick", action="store_true", help="a few sets, two splits, static only")
    parser.add_argument("--again", action="store_true", help="write what was measured anew")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets or (QUICK_SETS if arguments.quick else names)
    if arguments.quick:
        arguments.sentence = None
    return arguments


if __name__ == "__main__":
    sys.exit(main())
