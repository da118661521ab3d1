"""The folder that an evaluation leaves behind, whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routecast.data.durable import whole_folder
from routecast.data.files import MAKE_ROOM, disk_faults_told
from routecast.data.leakage import prompt_hash64
from routecast.data.outcomes import COST_USD, QUALITY
from routecast.data.reading import require_polars
from routecast.data.scores import WIN_PROBABILITY
from routecast.errors import DataError
from routecast.evaluate.document import SCHEMA, study_document
from routecast.evaluate.plots import write_curve_pictures
from routecast.evaluate.report import write_report
from routecast.evaluate.study import Study

if TYPE_CHECKING:
    import polars as pl

METRICS_NAME = "metrics.json"
SCORES_NAME = "scores.parquet"
SEVERAL = "routecast.evaluations"
"""Schema of the ``metrics.json`` that stands above the folders of several studies."""

_FILES = frozenset({METRICS_NAME, SCORES_NAME, "report.html", "curve.png", "curve.svg"})


def write_evaluation(
    studies: Sequence[Study],
    folder: str | Path,
    *,
    with_prompts: bool = True,
    command: str | None = None,
) -> None:
    """Write a folder of results: of one study into it, of several into a folder each inside.

    Everything is written beside ``folder`` and moved into place at the end; results that were
    there before are replaced.

    Args:
        studies: At least one.
        folder: Where the results go; made if need be.
        with_prompts: Put the prompts' texts into the report and the scores; else a hash of each.
        command: The command line that made the studies, for the report to quote.

    Raises:
        ConfigError: If another run is writing there.
        DataError: If ``folder`` holds anything but results of an evaluation, or cannot be written.
        MissingExtraError: If polars or matplotlib is not installed.
    """
    folder = Path(folder)
    check_output(folder)
    try:
        with disk_faults_told(folder), whole_folder(folder) as fresh:
            _write_studies(studies, fresh, with_prompts=with_prompts, command=command)
    except OSError as error:
        raise DataError(f"cannot write {str(folder)!r}: {error.strerror}; {MAKE_ROOM}") from error


def _write_studies(
    studies: Sequence[Study], folder: Path, *, with_prompts: bool, command: str | None
) -> None:
    if len(studies) == 1:
        _write_study(studies[0], folder, with_prompts=with_prompts, command=command)
        return
    names = _folder_names(studies)
    for study, name in zip(studies, names, strict=True):
        (folder / name).mkdir()
        _write_study(study, folder / name, with_prompts=with_prompts, command=command)
    _write_json({"schema": SEVERAL, "folders": names}, folder / METRICS_NAME)


def check_output(folder: str | Path) -> None:
    """Refuse a folder that results may not replace: call it before the work that they take.

    Raises:
        DataError: If there is something that is neither an empty folder nor results alone.
    """
    folder = Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{str(folder)!r} is a file; name a folder for the results")
    entries = {entry.name for entry in folder.iterdir()}
    foreign = sorted(entries - _owned(folder))
    if foreign:
        raise DataError(
            f"{str(folder)!r} holds {foreign[0]!r}, which is not of an evaluation that may be "
            "replaced; choose a new folder, or one inside it"
        )


def _owned(folder: Path) -> frozenset[str]:
    """Name what an evaluation may replace in a folder: nothing where there is none."""
    document = _read_json(folder / METRICS_NAME)
    if document.get("schema") == SCHEMA:
        return _FILES
    if document.get("schema") != SEVERAL:
        return frozenset()
    inside = [folder / str(name) for name in document.get("folders", ())]
    whole = [home.name for home in inside if {e.name for e in home.glob("*")} <= _owned(home)]
    return frozenset({METRICS_NAME, *whole})


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _write_json(document: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _folder_names(studies: Sequence[Study]) -> list[str]:
    """Name one folder per study, after its benchmark; equal names are numbered."""
    names: list[str] = []
    for study in studies:
        name, number = study.benchmark, 2
        while name in names:
            name, number = f"{study.benchmark}-{number}", number + 1
        names.append(name)
    return names


def _write_study(study: Study, folder: Path, *, with_prompts: bool, command: str | None) -> None:
    _write_json(study_document(study), folder / METRICS_NAME)
    _write_scores(study, folder / SCORES_NAME, with_prompts=with_prompts)
    write_curve_pictures(study, folder)
    write_report(study, folder / "report.html", with_prompts=with_prompts, command=command)


def _write_scores(study: Study, path: Path, *, with_prompts: bool) -> None:
    """Write qualities, costs and scores per prompt; a score where a router abstained is null."""
    polars = require_polars("writing scores")
    columns: dict[str, Any] = {}
    if with_prompts:
        columns["prompt"] = list(study.prompts)
    else:
        columns["prompt_hash"] = [f"{prompt_hash64(prompt):016x}" for prompt in study.prompts]
    if study.groups is not None:
        columns["group"] = list(study.groups)
    columns |= _amounts(study)
    for router in study.routers:
        if router.scores is None:
            continue
        scores = polars.Series(router.scores)
        if router.fixed is not None:
            scores = scores.zip_with(~polars.Series(router.fixed.rows), _nulls(len(scores)))
        columns[f"{WIN_PROBABILITY}|{router.name}"] = scores
    with disk_faults_told(path):
        polars.DataFrame(columns).write_parquet(path)


def _nulls(n_rows: int) -> "pl.Series":
    polars = require_polars("writing scores")
    nulls: pl.Series = polars.Series([None] * n_rows, dtype=polars.Float64)
    return nulls


def _amounts(study: Study) -> Mapping[str, Any]:
    amounts: dict[str, Any] = {
        QUALITY + study.strong: study.strong_quality,
        QUALITY + study.weak: study.weak_quality,
    }
    if study.strong_cost_usd is not None and study.weak_cost_usd is not None:
        amounts[COST_USD + study.strong] = study.strong_cost_usd
        amounts[COST_USD + study.weak] = study.weak_cost_usd
    return amounts
