"""What `routecast train` shows: the progress, then what the router is worth."""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from routecast.cli.counts import counted
from routecast.cli.progress import shown_stages

if TYPE_CHECKING:
    from rich.table import Table

    from routecast.evaluate.study import Figure
    from routecast.evaluate.wins import Measurement
    from routecast.train.held_out import HeldOut
    from routecast.train.progress import Progress, Watch
    from routecast.train.run import TrainingRun

_TITLES = {
    "apgr": "APGR",
    "cpt_50": "CPT(50%)",
    "cpt_80": "CPT(80%)",
    "auroc": "AUROC",
    "log_loss": "log loss",
    "brier": "Brier",
    "ece": "ECE",
}
_PERCENT = {"cpt_50", "cpt_80"}
_CPT_MEANING = "CPT: share of strong calls that recovers so much of the quality gap."


@contextmanager
def shown_training() -> "Iterator[Watch | None]":
    """Show on stderr what is being done, with the losses, where that is a terminal."""
    with shown_stages() as stages:
        if stages is None:
            yield None
            return

        def watch(progress: "Progress") -> None:
            stages(progress.stage, progress.n_done, progress.n_total, note=_losses(progress))

        yield watch


def _losses(progress: "Progress") -> str:
    if progress.training_loss is None:
        return ""
    validation = progress.validation_loss
    shown = "" if validation is None else f", validation {validation:.4f}"
    return f"loss {progress.training_loss:.4f}{shown}"


def print_run(run: "TrainingRun", *, as_json: bool) -> None:
    """Print the result on stdout, and on stderr what a reader must not miss."""
    for name, entry in run.dropped:
        typer.echo(f"left out of {name}, {entry.reason}: {entry.n_rows:,}", err=True)
    warnings = list(_warnings(run))
    if as_json:
        from routecast.cli.train_document import run_document

        document = run_document(run) | {"warnings": warnings}
        typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))
        return
    _print_tables(run)
    for warning in warnings:
        typer.echo(f"warning: {warning}")
    typer.echo(f"wrote the router to {run.request.output}", err=True)


def _print_tables(run: "TrainingRun") -> None:
    for line in _facts(run):
        typer.echo(line)
    held_out = run.trained.held_out
    if held_out is None:
        return
    unit = "groups" if held_out.by_group else "prompts"
    for title, measurement in _measurements(held_out):
        print_measurement(title, measurement, unit)


def print_measurement(title: str, measurement: "Measurement", unit: str) -> None:
    """Print a table of figures on stdout under a line with N and what was resampled."""
    from rich.console import Console

    typer.echo(
        f"{title}: N = {measurement.n_labels:,}, 95% intervals over "
        f"{measurement.n_clusters:,} {unit}"
    )
    width = None if sys.stdout.isatty() else 116
    console = Console(width=width, highlight=False, markup=False)
    console.print(_table(measurement))
    if "cpt_50" in measurement.figures[next(iter(measurement.figures))]:
        console.print(_CPT_MEANING)


def _measurements(held_out: "HeldOut") -> "list[tuple[str, Measurement]]":
    where = "each label predicted from others" if held_out.is_crosswise else "held out"
    found = [
        (f"routing, {where}", held_out.routing),
        (f"strong against weak, {where}", held_out.wins),
        (f"all comparisons, {where}", held_out.battles),
    ]
    return [
        (title, measurement) for title, measurement in found if measurement and measurement.figures
    ]


def _facts(run: "TrainingRun") -> Iterator[str]:
    prepared, manifest = run.trained.prepared, run.manifest
    split = prepared.split
    others = []
    if len(split.validation):
        others.append(f"{len(split.validation):,} more to choose and calibrate on")
    if len(split.test):
        others.append(f"{len(split.test):,} to report on")
    if not len(split.validation):
        same = "calibrated" if len(split.test) else "calibrated and reported"
        others.append(f"{same} on the same, each predicted from the others")
    yield (
        f"{manifest.router} on {manifest.embedder.name}: learned from "
        f"{counted(manifest.training.n_comparisons, 'comparison')} over {len(split.train):,} "
        f"prompts; {', '.join(others)}"
    )
    for side, names in (("strong", manifest.strong), ("weak", manifest.weak)):
        stands_for = run.request.settings.stands_for.get(side)
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        yield f"  {side}: {shown}" + (f", standing for {stands_for}" if stands_for else "")
    best = run.trained.trials[0]
    chosen = ", ".join(
        f"{name} {_setting(manifest.settings.get(name, own))}"
        for name, own in best.settings.items()
    )
    tried = f", best of {n} tried" if (n := len(run.trained.trials)) > 1 else ""
    yield f"  settings: {chosen or 'none'}; validation log loss {best.pair_loss:.4f}{tried}"
    yield from _network_facts(manifest.settings)
    if run.overlap is not None:
        yield (
            f"  evaluation prompts in the training data: {run.overlap.n_overlapping:,} of "
            f"{run.overlap.n_prompts:,} prompts"
            + (f" ({run.request.on_overlap})" if run.overlap.n_overlapping else "")
        )
    duplicates = prepared.duplicates
    if duplicates.sizes:
        yield (
            f"  near-duplicates kept on one side: {sum(duplicates.sizes):,} prompts in "
            f"{len(duplicates.sizes):,} groups"
        )
    if duplicates.oversized:
        yield f"  groups too large to be duplicates, split: {list(duplicates.oversized)!r} prompts"


def _network_facts(settings: Mapping[str, Any]) -> Iterator[str]:
    """Say what only routers that are neural networks have."""
    balance = settings.get("label_balance")
    if balance is not None:
        yield (
            f"  training labels: strong wins {balance['strong']:.0%}, ties {balance['tie']:.0%}, "
            f"weak wins {balance['weak']:.0%}"
        )
    if "device" in settings:
        yield (
            f"  trained on {settings['device']}: {settings['n_steps_taken']:,} steps, kept the "
            f"weights after step {settings['best_step']:,}"
        )
    check = settings.get("int8_check")
    if check is not None:
        used = "" if check["is_used"] else "; too much, so torch is used"
        yield (
            f"  int8 against torch on {check['n_prompts']:,} prompts: win probability differs by "
            f"{check['mean_difference']:.4f} on average, {check['largest_difference']:.4f} at "
            f"most{used}"
        )


def _setting(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(measurement: "Measurement") -> "Table":
    from rich.box import SIMPLE
    from rich.table import Table

    printed = Table(box=SIMPLE)
    printed.add_column("", no_wrap=True)
    metrics = list(dict.fromkeys(m for row in measurement.figures.values() for m in row))
    for metric in metrics:
        printed.add_column(_TITLES[metric], justify="right")
    for name, figures in measurement.figures.items():
        cells = [_cell(metric, figures[metric]) if metric in figures else "-" for metric in metrics]
        printed.add_row(name, *cells)
    if "apgr" in metrics:
        printed.add_row("random", "0.500", "50.0%", "80.0%")
    elif "auroc" in metrics:
        printed.add_row("random", "0.500", *["-"] * (len(metrics) - 1))
    return printed


def _cell(metric: str, figure: "Figure") -> str:
    if math.isnan(figure.value):
        return "-"
    scale, digits, unit = (100, 1, "%") if metric in _PERCENT else (1, 3, "")
    value, low, high = (f"{scale * x:.{digits}f}" for x in (figure.value, figure.low, figure.high))
    return f"{value}{unit} [{low}, {high}]"


def _warnings(run: "TrainingRun") -> Iterator[str]:
    import numpy as np

    from routecast.data.outcomes import swap_warning

    held_out, labels = run.trained.held_out, run.trained.prepared.labels
    strong, weak, measured = labels.strong_quality, labels.weak_quality, "mean quality"
    if np.isnan(strong).any():  # some labels are comparisons, which say who wins alone
        strong, weak, measured = labels.wins, 1.0 - labels.wins, "share of wins"
    swapped = swap_warning(
        strong=", ".join(run.manifest.strong),
        weak=", ".join(run.manifest.weak),
        strong_quality=float(np.average(strong, weights=labels.weight)),
        weak_quality=float(np.average(weak, weights=labels.weight)),
        measured=measured,
    )
    if swapped is not None:
        yield swapped
    if held_out is not None:
        yield from held_out.warnings
        if held_out.n_prompts < 100:
            yield (
                f"{held_out.n_prompts} labelled prompts to report on tell little; mind the "
                "intervals' width"
            )
    if run.overlap is not None and run.overlap.n_overlapping and run.request.on_overlap == "allow":
        yield f"{run.overlap.n_overlapping:,} evaluation prompts were learned from, as allowed"
