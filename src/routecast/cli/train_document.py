"""What `routecast train --json` prints."""

from typing import TYPE_CHECKING, Any

from routecast.cli.counts import finite_or_none

if TYPE_CHECKING:
    from routecast.evaluate.study import Figure
    from routecast.evaluate.wins import Measurement
    from routecast.train.run import TrainingRun


def run_document(run: "TrainingRun") -> dict[str, Any]:
    """Return the document, but for its warnings."""
    manifest, prepared = run.manifest, run.trained.prepared
    held_out = run.trained.held_out
    return {
        "router": manifest.router,
        "output": str(run.request.output),
        "embedder": manifest.embedder.name,
        "strong": list(manifest.strong),
        "weak": list(manifest.weak),
        "stands_for": dict(run.request.settings.stands_for),
        "seed": manifest.seed,
        "settings": manifest.settings,
        "trials": [
            {
                "settings": dict(trial.settings),
                "pair_loss": finite_or_none(trial.pair_loss),
                "validation_loss": finite_or_none(trial.validation_loss),
            }
            for trial in run.trained.trials
        ],
        "n_comparisons": manifest.training.n_comparisons,
        "n_prompts": {
            "train": len(prepared.split.train),
            "validation": len(prepared.split.validation),
            "test": len(prepared.split.test),
        },
        "near_duplicates": {
            "n_groups": len(prepared.duplicates.sizes),
            "n_prompts": sum(prepared.duplicates.sizes),
            "not_merged": list(prepared.duplicates.oversized),
        },
        "overlap": None
        if run.overlap is None
        else {
            "n_prompts": run.overlap.n_prompts,
            "n_overlapping": run.overlap.n_overlapping,
            "n_excluded": run.overlap.n_excluded,
            "n_excluded_hit": run.overlap.n_excluded_hit,
            "on_overlap": str(run.request.on_overlap),
        },
        "left_out": [
            {"source": name, "reason": entry.reason, "n_rows": entry.n_rows}
            for name, entry in run.dropped
        ],
        "held_out": None
        if held_out is None
        else {
            "n_prompts": held_out.n_prompts,
            "n_abstained": held_out.n_abstained,
            "cross_fitted": held_out.is_crosswise,
            "resampled": "groups" if held_out.by_group else "prompts",
            **{
                title: measured(measurement)
                for title, measurement in (
                    ("routing", held_out.routing),
                    ("wins", held_out.wins),
                    ("all_comparisons", held_out.battles),
                )
            },
        },
    }


def measured(measurement: "Measurement | None") -> dict[str, Any] | None:
    """Return figures and differences with their intervals."""
    if measurement is None or not measurement.figures:
        return None
    return {
        "n": measurement.n_labels,
        "n_clusters": measurement.n_clusters,
        "figures": {
            name: {metric: _interval(figure) for metric, figure in figures.items()}
            for name, figures in measurement.figures.items()
        },
        "differences": [
            {"metric": metric, "other": other, **_interval(figure)}
            for (metric, other), figure in measurement.differences.items()
        ],
    }


def _interval(figure: "Figure") -> dict[str, float | None]:
    return {
        "value": finite_or_none(figure.value),
        "low": finite_or_none(figure.low),
        "high": finite_or_none(figure.high),
    }
