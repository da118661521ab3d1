"""The figures of the shipped router as a page for results/."""

from collections.abc import Mapping, Sequence

import numpy as np
from runs.default_choice import CANDIDATES, MOST_FAR_SHARE, Choice, mean_apgr
from runs.default_sets import BATTLES, FAR

from routecast.artifacts import Manifest, MetricRecord


def results_page(manifest: Manifest, validation_loss: float, choice: Choice) -> str:
    """Write the figures as a page for results/."""
    lines = [
        "# The default router, as shipped",
        "",
        "    python -m runs.train_default --data DIR",
        "",
        f"A `knn`: {choice.options['n_centres']} clusters of {manifest.training.n_prompts:,} "
        f"prompts, none of them in a benchmark, with {manifest.training.n_comparisons:,} "
        f"comparisons of {len(manifest.strong)} strong and {len(manifest.weak)} weak models; log "
        f"loss of strong against weak on validation prompts {validation_loss:.4f} (chance "
        f"{np.log(2):.4f}). 95% intervals by bootstrap, 10,000 "
        "resamples of prompts (MMLU: of subjects).",
        "",
        "## Chosen on sets left out in turn",
        "",
        "Fitted on the training prompts of three sets, measured on those of the fourth; APGR of "
        "the mean quality of strong and weak models, mean over three seeds of the clusters. "
        f"{len(choice.left_out)} combinations were tried; the best ten, the best with each value "
        f"of each setting, and (**) the one that ships. A `length_far_share` above "
        f"{MOST_FAR_SHARE} is shown and may not ship; of the others within one standard error "
        f"({choice.standard_error:.4f}) of the highest mean, the most modest ships: the largest "
        "prior, then the least share, then the highest mean.",
        "",
        *_candidate_rows(choice),
        "",
        "The chosen one on each set that its fit has not seen, beside the baselines:",
        "",
        *_figure_rows(choice.records),
        "",
        "## As shipped",
        "",
        "On the benchmarks the pair is GPT-4-1106 against Mixtral-8x7B; GPT-4-1106 is in no "
        "training set. The sets after them train nothing that ships, and are measured without "
        "the prompts that they share with the training sets: "
        + "; ".join(f"{name}, {strong} against {weak}" for name, strong, weak, _ in FAR)
        + "; "
        + "; ".join(
            f"{name}, {strong} against {', '.join(weak)}" for _, name, strong, weak in BATTLES
        )
        + ". In the last two, quality is the share of wins, ties half. Nothing in this table chose "
        "among the combinations; but that the most modest is taken and not the highest mean was "
        "settled after seeing the latter fall .06 below length on RouterDC and GSM8K.",
        "",
        *_figure_rows(manifest.metrics),
    ]
    return "\n".join(lines) + "\n"


def _candidate_rows(choice: Choice) -> list[str]:
    """Tabulate the best combinations, the best first."""
    ranked = sorted(choice.left_out, key=lambda one: -mean_apgr(one[1]))
    shown = list(range(10)) + [
        next(place for place, one in enumerate(ranked) if one[0][name] == value)
        for name, values in CANDIDATES.items()
        for value in values
    ]
    shown.append(next(place for place, one in enumerate(ranked) if one[0] == choice.options))
    names, homes = list(CANDIDATES), [name.partition(",")[0] for name in ranked[0][1]]
    header = [*names, *homes, "mean", "worst less length"]
    rows = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for options, found in (ranked[place] for place in sorted(set(shown))):
        cells = [f"{options[name]:g}" for name in names]
        cells += [f"{value:.3f}" for value in found.values()] + [f"{mean_apgr(found):.4f}"]
        cells.append(f"{_worst(found, choice.by_length):+.3f}")
        mark = "**" if options == choice.options else ""
        rows.append(f"| {' | '.join(f'{mark}{cell}{mark}' for cell in cells)} |")
    return rows


def _figure_rows(records: Sequence[MetricRecord]) -> list[str]:
    """Tabulate figures with their intervals, one row per set and router."""
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for record in records:
        label, _, metric = record.metric.rpartition(" ")
        scale = 1 if metric == "apgr" else 100
        digits = 3 if metric == "apgr" else 1
        low, high = (f"{scale * bound:.{digits}f}" for bound in (record.low, record.high))
        cell = f"{scale * record.value:.{digits}f} [{low}, {high}]"
        rows.setdefault((record.benchmark, record.n_prompts, label), {})[metric] = cell
    lines = ["| set | N | router | APGR | CPT(50%) | CPT(80%) |", "|---|---|---|---|---|---|"]
    for (benchmark, n_prompts, label), cells in rows.items():
        figures = " | ".join(cells[metric] for metric in ("apgr", "cpt_50", "cpt_80"))
        lines.append(f"| {benchmark} | {n_prompts:,} | {label} | {figures} |")
        if label == "oracle":
            lines.append(
                f"| {benchmark} | {n_prompts:,} | random (analytic) | 0.500 | 50.0 | 80.0 |"
            )
    return lines


def _worst(apgr_by_set: Mapping[str, float], by_length: Mapping[str, float]) -> float:
    """Return the least of APGR less length's."""
    return min(apgr_by_set[name] - by_length[name] for name in by_length)
