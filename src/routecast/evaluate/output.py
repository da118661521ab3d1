"""The folder that an evaluation leaves behind, whole or not at all."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from routecast.data.leakage import prompt_hash64
from routecast.data.outcomes import COST_USD, QUALITY
from routecast.data.reading import require_polars
from routecast.data.scores import WIN_PROBABILITY
from routecast.errors import DataError
from routecast.evaluate.document import SCHEMA, study_document
from routecast.evaluate.study import Study

METRICS_NAME = "metrics.json"
SCORES_NAME = "scores.parquet"
_FILES = frozenset({METRICS_NAME, SCORES_NAME, "report.html", "curve.png", "curve.svg"})


def write_evaluation(
    studies: Sequence[Study], folder: str | Path, *, with_prompts: bool = True
) -> None:
    """Write a folder of results: of one study into it, of several into a folder each inside.

    Everything is written beside ``folder`` and moved into place at the end; results that were
    there before are replaced.

    Args:
        studies: At least one.
        folder: Where the results go; made if need be.
        with_prompts: Put the prompts' texts into the report and the scores; else a hash of each.

    Raises:
        DataError: If ``folder`` holds anything but results of an evaluation, or cannot be written.
        MissingExtraError: If polars, matplotlib or plotly is not installed.
    """
    folder = Path(folder)
    check_output(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as workspace:
            fresh = Path(workspace) / "fresh"
            fresh.mkdir()
            for study, name in zip(studies, _folder_names(studies), strict=True):
                home = fresh / name if len(studies) > 1 else fresh
                home.mkdir(exist_ok=True)
                _write_study(study, home, with_prompts=with_prompts)
            if folder.exists():
                folder.rename(Path(workspace) / "old")
            fresh.rename(folder)
    except OSError as error:
        raise DataError(f"cannot write {str(folder)!r}: {error.strerror}") from error


def check_output(folder: str | Path) -> None:
    """Refuse a folder that results may not replace: call it before the work that they take.

    Raises:
        DataError: If there is something that is neither an empty folder nor results.
    """
    folder = Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(f"{str(folder)!r} is a file; name a folder for the results")
    foreign = [entry.name for entry in sorted(folder.iterdir()) if not _is_ours(entry)]
    if foreign or not _has_results(folder):
        raise DataError(
            f"{str(folder)!r} exists and is not only results of an evaluation"
            f"{f' (it holds {foreign[0]!r})' if foreign else ''}; choose a new folder, or remove it"
        )


def _is_ours(entry: Path) -> bool:
    """Tell whether a file or folder is one that an evaluation writes."""
    if entry.is_dir():
        return _is_results(entry)
    return entry.name in _FILES


def _has_results(folder: Path) -> bool:
    entries = list(folder.iterdir())
    return not entries or _is_results(folder) or all(entry.is_dir() for entry in entries)


def _is_results(folder: Path) -> bool:
    """Tell whether a folder holds one study's results and nothing else."""
    try:
        document = json.loads((folder / METRICS_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    is_document = isinstance(document, dict) and document.get("schema") == SCHEMA
    return is_document and all(entry.is_dir() or entry.name in _FILES for entry in folder.iterdir())


def _folder_names(studies: Sequence[Study]) -> list[str]:
    """Name one folder per study, after its benchmark; equal names are numbered."""
    names: list[str] = []
    for study in studies:
        name, number = study.benchmark, 2
        while name in names:
            name, number = f"{study.benchmark}-{number}", number + 1
        names.append(name)
    return names


def _write_study(study: Study, folder: Path, *, with_prompts: bool) -> None:
    text = json.dumps(study_document(study), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / METRICS_NAME).write_text(text + "\n", encoding="utf-8")
    _write_scores(study, folder / SCORES_NAME, with_prompts=with_prompts)


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
        if router.abstained is not None and router.abstained.any():
            scores = polars.Series(
                [
                    None if missing else score
                    for score, missing in zip(
                        router.scores.tolist(), router.abstained.tolist(), strict=True
                    )
                ]
            )
        columns[f"{WIN_PROBABILITY}|{router.name}"] = scores
    polars.DataFrame(columns).write_parquet(path)


def _amounts(study: Study) -> Mapping[str, Any]:
    amounts: dict[str, Any] = {
        QUALITY + study.strong: study.strong_quality,
        QUALITY + study.weak: study.weak_quality,
    }
    if study.strong_cost_usd is not None and study.weak_cost_usd is not None:
        amounts[COST_USD + study.strong] = study.strong_cost_usd
        amounts[COST_USD + study.weak] = study.weak_cost_usd
    return amounts
