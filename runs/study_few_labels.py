"""What few labels of one's own are worth, on every labelled set.

    python -m runs.study_few_labels --data DIR [--sentence FOLDER --embeddings CACHE]
        [--output results/few_labels.md] [--sets mmlu ...] [--static-only routerdc ...] [--jobs 4]
    python -m runs.study_few_labels --data DIR --quick --output FILE

DIR holds the labelled sets. Each split draws labels from one set, by prompt, and evaluates on the
rest; nothing else of the set is used. FOLDER is a sentence-transformers model, all-MiniLM-L6-v2 in
the committed page; its vectors are kept in CACHE. Beside the page are written the figures it was
made from, with the ending ``json``, and a picture per embedder. ``--again`` makes page and pictures
from those figures, ``--only mf`` from those with `mf` measured anew. ``--quick`` takes half a
minute, and fails where `blend` is not ahead of length or of a random order by more than noise. No
prompt is written anywhere.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import msgspec
from runs.few_labels.bars import FEW, FURTHER_SEED, shortfalls
from runs.few_labels.blend_fits import BLEND
from runs.few_labels.cells import N_DECIMALS, Cell, Split, figures_of, measure_splits
from runs.few_labels.figure import write_figure
from runs.few_labels.fits import FAMILIES, MEMBERS, ROUTERS
from runs.few_labels.neural import neural_figures
from runs.few_labels.page import page_lines
from runs.few_labels.sets import PAIRS, Pair, read_labelled, read_sample

from routecast.data.files import whole_file
from routecast.embed.cache import cached
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder

N_SPLITS = {100: 10, 300: 10, 1_000: 5, 1_531: 10, 3_000: 5, 10_000: 3}
"""Draws by number of labels: ten where something was asked for beforehand, and of the fewest."""

N_FURTHER = 30
"""Draws with few labels beside these, of `blend` and what it is made of alone."""

STATIC, SENTENCE = "static", "sentence"
QUICK_SETS, QUICK_SPLITS = ("mmlu", "gsm8k", "llmrouter"), {300: 2}


@dataclass(frozen=True, kw_only=True)
class Job:
    """A pair and an embedder to study, and where their parts lie.

    Attributes:
        pair: Which set and which models.
        embedder: ``static`` or ``sentence``.
        n_splits: How many draws, by number of labels.
        n_further: How many more with few labels, of `blend` and its members alone.
        folder: Of the shared data.
        sentence: The sentence-transformers model.
        cache: Where its vectors are kept.
        only: Families to measure; everything where there are none.
    """

    pair: Pair
    embedder: str
    n_splits: Mapping[int, int]
    n_further: int
    folder: Path
    sentence: str | None
    cache: Path | None
    only: tuple[str, ...]

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
        known = read_cells(figures) if arguments.only else []
        cells = measure(_jobs(arguments), known, n_processes=arguments.jobs, figures=figures)
    pictures = [
        write_figure(
            [cell for cell in cells if cell.embedder == name and not cell.first_seed],
            _picture(arguments, name),
        )
        for name in dict.fromkeys(cell.embedder for cell in cells)
    ]
    neural = () if arguments.quick else neural_figures()
    page = "\n".join(page_lines(cells, [path.name for path in pictures], neural))
    _write(arguments.output, page.encode())
    print(page)
    short = shortfalls(cells) if arguments.quick else []
    for line in short:
        print(line, file=sys.stderr)
    return 1 if short else 0


def measure(
    jobs: Sequence[Job], known: Sequence[Cell], *, n_processes: int, figures: Path
) -> list[Cell]:
    """Measure in processes of one thread each, the largest sets first.

    Args:
        jobs: What to measure.
        known: What an earlier run measured, if only some families are measured anew.
        n_processes: How many.
        figures: Written after each job, so that a run that stops leaves what it had.
    """
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of the processes
    cells: dict[int, list[Cell]] = {}
    with ProcessPoolExecutor(n_processes, multiprocessing.get_context("spawn")) as pool:
        n_rows = _embed_all(pool, jobs)
        order = sorted(range(len(jobs)), key=lambda number: -n_rows[number])
        running = {pool.submit(measure_job, jobs[number]): number for number in order}
        for done in as_completed(running):
            job = jobs[running[done]]
            cells[running[done]] = done.result()
            _write(figures, msgspec.json.encode(_in_order(cells, known)))
            print(f"{len(cells)} of {len(jobs)}: {job.pair.title}, {job.embedder}", file=sys.stderr)
    return _in_order(cells, known)


def _in_order(cells: Mapping[int, list[Cell]], known: Sequence[Cell]) -> list[Cell]:
    """Return the cells job by job, or those known with what was measured anew."""
    measured = [cell for number in sorted(cells) for cell in cells[number]]
    fresh = {cell.key: cell for cell in measured}
    return [cell.updated(fresh.get(cell.key)) for cell in known] or measured


def read_cells(figures: Path) -> list[Cell]:
    """Read what an earlier run measured."""
    return msgspec.json.decode(figures.read_bytes(), type=list[Cell])


def _embed_all(pool: ProcessPoolExecutor, jobs: Sequence[Job]) -> list[int]:
    """Return the rows of each job, its vectors in the cache: no two processes embed a set."""
    of_set = {(job.pair.file, job.pair.group, job.embedder): job for job in jobs}
    counts = dict(zip(of_set, pool.map(embed_set, of_set.values()), strict=True))
    return [counts[job.pair.file, job.pair.group, job.embedder] for job in jobs]


def embed_set(job: Job) -> int:
    """Put the vectors of a set into the cache, if there is one; return its number of rows."""
    prompts = read_labelled(job.pair, job.folder).prompts
    if job.embedder == SENTENCE and job.cache is not None:
        job.load_embedder().embed(prompts)
    return len(prompts)


def measure_job(job: Job) -> list[Cell]:
    """Measure a pair with each number of labels that leaves enough prompts to evaluate on."""
    embedder = job.load_embedder()
    sample = read_sample(job.pair, embedder, job.folder)
    cells = []
    for n_labels, first_seed, n_splits, routers in _draws(job):
        splits = measure_splits(
            sample,
            embedder.identity,
            n_labels=n_labels,
            n_splits=n_splits,
            first_seed=first_seed,
            routers=routers,
        )
        if splits:
            cells.append(_cell(job, n_labels, first_seed, len(sample.prompts), splits))
    return cells


def _draws(job: Job) -> Iterator[tuple[int, int, int, Sequence[str]]]:
    """Yield numbers of labels, first seeds, numbers of draws, and what is measured on them."""
    for n_labels, n_splits in job.n_splits.items():
        yield n_labels, 0, n_splits, job.only or ROUTERS
    if job.n_further and not job.only:
        yield FEW, FURTHER_SEED, job.n_further, (BLEND, *MEMBERS)


def _cell(
    job: Job, n_labels: int, first_seed: int, n_prompts: int, splits: Sequence[Split]
) -> Cell:
    refused = [name for split in splits for name in split.scored.refused]
    return Cell(
        set_name=job.pair.name,
        title=job.pair.title,
        embedder=job.embedder,
        n_labels=n_labels,
        n_prompts=n_prompts,
        n_evaluated=min(split.n_evaluated for split in splits),
        routers=figures_of(splits),
        calibration_errors=tuple(
            round(split.scored.calibration_error, N_DECIMALS) for split in splits
        ),
        abstained=tuple(round(split.scored.abstained, N_DECIMALS) for split in splits),
        n_refused={name: refused.count(name) for name in sorted(set(refused))},
        first_seed=first_seed,
    )


def _jobs(arguments: argparse.Namespace) -> list[Job]:
    """List pairs and embedders, those of one set together."""
    names = [pair.name for pair in PAIRS]
    return [
        Job(
            pair=pair,
            embedder=embedder,
            n_splits=QUICK_SPLITS if arguments.quick else N_SPLITS,
            n_further=0 if arguments.quick else N_FURTHER,
            folder=arguments.data,
            sentence=arguments.sentence,
            cache=arguments.embeddings,
            only=tuple(arguments.only),
        )
        for pair in sorted(PAIRS, key=lambda one: names.index(one.name))
        if pair.name in arguments.sets
        for embedder in _embedders(arguments, pair)
    ]


def _embedders(arguments: argparse.Namespace, pair: Pair) -> Iterator[str]:
    yield STATIC
    if arguments.sentence and pair.name not in arguments.static_only:
        yield SENTENCE


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
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=[], help="measured anew")
    parser.add_argument("--quick", action="store_true", help="a few sets, two splits, static only")
    parser.add_argument("--again", action="store_true", help="write what was measured anew")
    arguments = parser.parse_args()
    arguments.sets = arguments.sets or (QUICK_SETS if arguments.quick else names)
    if arguments.quick and arguments.sentence:
        parser.error("--quick is for the static embedder only; leave --sentence out")
    for folder in (arguments.data, arguments.output.parent):
        if not folder.is_dir():
            parser.error(f"there is no folder {str(folder)!r}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
