"""One training run: read, check, train, save."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from routecast.artifacts import MANIFEST_NAME, Manifest, save_artifact
from routecast.data.durable import held_workspace
from routecast.data.reading import Dropped
from routecast.embed.cache import cached
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.torch_device import check_device_name
from routecast.train.overlap import OnOverlap, OverlapReport, settle_overlap
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.progress import Watch, tell
from routecast.train.reading import read_comparisons, read_excluded, read_outcomes
from routecast.train.registry import find_family
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes

DEFAULT_EMBEDDER = "static"


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What to train on what, and where it goes.

    Attributes:
        settings: How to train.
        output: Folder of the artifact; one that is there is replaced.
        comparisons: Files, or ``hf:OWNER/NAME``.
        outcomes: Likewise, or folders of RouteLLM's benchmarks.
        embedder: Name of the embedder.
        embeddings: Folder that keeps the vectors of all embedders but ``static``; None for none.
        quality_range: Lowest and highest quality that the outcomes' scale knows.
        all_pairs: Learn from every pair of models of the outcomes, not only of those named.
        test: Labels to report on, of the kind that is learned from; their prompts are excluded too.
        exclude: Evaluation data whose prompts must not be learned from.
        on_overlap: What becomes of training prompts that are there all the same.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.
        resume: Go on where an interrupted run of the same request stopped.
        device: Where a neural network is trained; None picks.
        environ: Where ``env:NAME`` secrets are looked up.
    """

    settings: TrainSettings
    output: Path
    comparisons: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    embedder: str = DEFAULT_EMBEDDER
    embeddings: Path | None = None
    quality_range: tuple[float, float] = (0.0, 1.0)
    all_pairs: bool = False
    test: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    on_overlap: OnOverlap = OnOverlap.REFUSE
    skip_bad: bool = False
    resume: bool = False
    device: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRun:
    """What a run did.

    Attributes:
        request: What was asked.
        trained: The router and its figures.
        manifest: As saved, with every file's digest.
        overlap: What training and evaluation data share; None where nothing was excluded.
        dropped: What the readers left out, by file.
    """

    request: TrainRequest
    trained: TrainedRouter
    manifest: Manifest
    overlap: OverlapReport | None
    dropped: tuple[tuple[str, Dropped], ...]


def run_training(request: TrainRequest, *, watch: Watch | None = None) -> TrainingRun:
    """Train a router from files and save it.

    Everything that can be refused is refused before the long work: names, settings, the output
    folder, the files' rows, overlap, too few labels.

    Raises:
        ConfigError: If an option, a model or the embedder is unknown or missing, or another run
            trains into the same folder.
        DataError: If a file cannot be used, or there is too little to learn from.
        ArtifactError: If the output folder is there and no artifact.
        MissingExtraError: If an optional dependency is needed and not installed.
    """
    check_request(request)
    check_output(request.output)
    embedder = _embedder(request)
    tell(watch, "reading")
    sets = read_sets(request)
    test_sets = read_sets(_as_test(request))
    dropped = tuple((one.name, entry) for one in (*sets, *test_sets) for entry in one.dropped)
    overlap = None
    excluded = [prompt for where in request.exclude for prompt in read_excluded(where)]
    excluded += [prompt for one in test_sets for prompt in one.preferences.prompts]
    if excluded:
        tell(watch, "looking for evaluation prompts")
        sets, overlap = settle_overlap(
            sets, excluded, load_embedder(DEFAULT_EMBEDDER), on_overlap=request.on_overlap
        )
    with _checkpoints(request) as checkpoint:
        trained = train_router(
            sets,
            request.settings,
            embedder=embedder,
            checkpoint=checkpoint,
            device=request.device,
            environ=request.environ,
            test_sets=test_sets,
            watch=watch,
        )
        manifest = save_artifact(trained.artifact, request.output)
    return TrainingRun(
        request=request, trained=trained, manifest=manifest, overlap=overlap, dropped=dropped
    )


def _as_test(request: TrainRequest) -> TrainRequest:
    """Return a request that reads the test files as the training files are read."""
    if request.outcomes:
        return replace(request, comparisons=(), outcomes=request.test)
    return replace(request, comparisons=request.test)


def _embedder(request: TrainRequest) -> Embedder:
    embedder = load_embedder(request.embedder)
    if request.embeddings is None or request.embedder == DEFAULT_EMBEDDER:
        return embedder
    return cached(embedder, request.embeddings)


def checkpoint_folder(output: Path) -> Path:
    """Return where a run keeps what it needs to go on; removed once the router is saved."""
    return output.with_name(f".{output.name}.checkpoint")


def has_checkpoint(output: Path) -> bool:
    """Tell whether a run that was stopped has left something to go on from."""
    folder = checkpoint_folder(output)
    return folder.is_dir() and any(folder.iterdir())


@contextmanager
def _checkpoints(request: TrainRequest) -> Iterator[Path]:
    """Make a folder that outlives an interruption, and nothing else.

    Of several processes that train together (torch's RANK), the first holds the output.
    """
    folder = checkpoint_folder(request.output)
    is_first = request.environ.get("RANK", "0") == "0"
    with held_workspace(request.output) if is_first else nullcontext():
        if not request.resume:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield folder
        except BaseException:
            if not any(folder.iterdir()):  # refused or stopped before there was anything to keep
                folder.rmdir()
            raise
        shutil.rmtree(folder)


def check_request(request: TrainRequest) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigError: Saying which, and what to give.
    """
    check_device_name(request.device)
    family = find_family(request.settings.router)
    for options in family.candidates(request.settings.options):
        family.settings(**options)
    if not request.comparisons and not request.outcomes:
        raise ConfigError(
            "there is nothing to learn from; give --comparisons FILE or --outcomes FILE"
        )
    settings = request.settings
    if request.outcomes and not (settings.strong and settings.weak):
        raise ConfigError("outcomes need the pair to route between: --strong NAME --weak NAME")
    if not request.outcomes and request.all_pairs:
        raise ConfigError("--all-pairs is for --outcomes; comparisons are taken as they are")
    if not (request.exclude or request.test) and request.on_overlap is not OnOverlap.REFUSE:
        raise ConfigError(
            f"--{request.on_overlap}-overlap says nothing without --exclude or --test and the "
            "evaluation data"
        )


def check_output(folder: Path) -> None:
    """Refuse a folder that a router cannot be saved to, before any work.

    Raises:
        ArtifactError: If it is there and is no artifact, or cannot be made.
    """
    if folder.exists() and not (folder / MANIFEST_NAME).is_file():
        raise ArtifactError(
            f"{str(folder)!r} exists and is no trained router; choose a new folder, or remove it"
        )
    parent = next(above for above in folder.absolute().parents if above.exists())
    if not parent.is_dir():
        raise ArtifactError(f"{str(folder)!r} cannot be made: {str(parent)!r} is no folder")


def read_sets(request: TrainRequest) -> list[LabelledSet]:
    """Read everything that a request names, in order; outcomes keep their margins.

    Raises:
        DataError: If a file cannot be used.
    """
    sets = []
    for where in request.comparisons:
        battles = read_comparisons(where, skip_bad=request.skip_bad)
        sets.append(set_of_comparisons(battles.table, dropped=battles.dropped))
    for where in request.outcomes:
        result = read_outcomes(
            where, quality_range=request.quality_range, skip_bad=request.skip_bad
        )
        names = (*request.settings.strong, *request.settings.weak)
        models = None if request.all_pairs else _named(names, result.table.models)
        sets.append(set_of_outcomes(result.table, models=models, soft=True, dropped=result.dropped))
    return sets


def _named(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...] | None:
    """Return the named models; those that a file lacks too, where it has no two of them."""
    present = tuple(name for name in dict.fromkeys(names) if name in known)
    return present if len(present) > 1 else tuple(dict.fromkeys(names))
