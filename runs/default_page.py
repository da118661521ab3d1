"""The figures of the shipped router as a page for results/."""

from collections.abc import Iterator, Sequence

import numpy as np
from runs.default_fit import SHRINKAGE
from runs.default_measure import (
    DEFAULT,
    LENGTH,
    MIXED,
    N_MIXTURES,
    N_OF_EACH,
    ORACLE,
    OWN_LABELS,
    SHOWN,
    Interval,
    Measured,
    mean_over_sets,
    mixture,
)

from routecast.artifacts import Manifest

MEMBERS = ("rules", "length", "hardness", "gap")
CHAT = ("natural", "alpaca2", "alpaca1", "pandalm", "Arena-Hard-Auto")


def results_page(manifest: Manifest, measured: Sequence[Measured]) -> str:
    """Write the figures as a page for results/."""
    return "\n".join(_lines(manifest, measured)) + "\n"


def _lines(manifest: Manifest, measured: Sequence[Measured]) -> Iterator[str]:
    training = manifest.training
    yield f"""# The default router, as shipped

    python -m runs.train_default --data DIR

It orders prompts by apparent difficulty and knows nothing of the reader's models. A `ridge` whose
line is the mean of four judges, each of deviation 1 over the training sets: rules (a fixed sum of
counts: numbers, code, signs of mathematics, words such as "prove", steps asked for, less small
talk and questions for a fact), length, hardness (how often the weaker half of all models fails)
and gap (what {len(manifest.strong)} strong models have over {len(manifest.weak)} weak ones), the
last two by ridge regression with shrinkage {SHRINKAGE}; `runs/default_fit.py` has the formulas.
Learned from {training.n_prompts:,} prompts of {len(training.sources)} sets, none of them in a
benchmark. 95% intervals by bootstrap, 10,000 resamples of prompts (MMLU: of subjects). Random is
.500. The command chooses nothing by these figures; but the shape of the ensemble, the weight of
counts and the shrinkage were settled after scratch runs that showed figures of the same sets
(docs/log.md).

## Means over sets

Each set of equal weight, its pairs averaged. The {len(training.sources)} training sets are left
out in turn: fitted on the others. `{OWN_LABELS}` has learned from all other labels of the same set,
in ten folds: it says what labels are worth, and is no rival of a cold start.

Chat is {", ".join(CHAT)}. The mixture is {N_OF_EACH} prompts of each set that trains nothing
({", ".join(MIXED)}), drawn {N_MIXTURES:,} times: to be ahead there, prompts of one set must be told
from those of another.
"""
    heads = ("sets", "N", "default", "length", "default less length", OWN_LABELS)
    yield _row(*heads, *(f"{name} alone" for name in MEMBERS))
    yield "|---" * (len(heads) + len(MEMBERS)) + "|"
    n_left_out = len(training.sources)
    parts = {
        "all": measured,
        "left out in turn": measured[:n_left_out],
        "that train nothing": measured[n_left_out:],
        "chat": [one for one in measured if one.trial.set_name in CHAT],
    }
    for name, some in parts.items():
        yield _row(
            f"{name} ({len({one.trial.set_name for one in some})})",
            f"{sum(len(one.trial.prompts) for one in some):,}",
            _shown(mean_over_sets(some, DEFAULT)),
            _shown(mean_over_sets(some, LENGTH)),
            _shown(mean_over_sets(some, DEFAULT, LENGTH), sign="+"),
            _shown(mean_over_sets(some, OWN_LABELS)),
            *(f"{mean_over_sets(some, member)[0]:.3f}" for member in MEMBERS),
        )
    mixed = mixture(measured, (DEFAULT, LENGTH, *MEMBERS))
    n_mixed = f"{N_OF_EACH * len(MIXED):,}"
    others = (f"{mixed[member][0]:.3f}" for member in MEMBERS)
    yield _row("mixture", n_mixed, _shown(mixed[DEFAULT]), _shown(mixed[LENGTH]), "", "", *others)
    low, median, high = (_quantile(manifest, level) for level in (0.05, 0.5, 0.95))
    yield f"""
## On prompts of Chatbot Arena

Of {manifest.calibration.sample}, 5% have a win probability below {low:.3f} and 5% one above
{high:.3f}; the median is {median:.3f}. These quantiles ship, so a share asked for is the share
given there; what it is on other traffic, `routecast calibrate` says.

## Set by set

Slope is how much the chance to win rises with the win probability: 1 where probabilities are
right, above 0 where more means more.

| set | N | router | APGR | CPT(50%) | CPT(80%) | slope |
|---|---|---|---|---|---|---|"""
    for one in measured:
        for router in SHOWN:
            yield _row(
                one.trial.name,
                f"{len(one.trial.prompts):,}",
                router,
                _shown(_figure(one, router, "apgr")),
                _shown(_figure(one, router, "cpt_50"), percent=True),
                _shown(_figure(one, router, "cpt_80"), percent=True),
                _shown(one.calibration_slope()) if router == DEFAULT else "",
            )
            if router == ORACLE:
                yield _row(one.trial.name, f"{len(one.trial.prompts):,}",
                           "random (analytic)", "0.500", "50.0", "80.0", "")  # fmt: skip


def _figure(one: Measured, router: str, metric: str) -> Interval:
    interval = one.samples.interval(router, metric)
    return one.exact(router, metric), interval.low, interval.high


def _quantile(manifest: Manifest, level: float) -> float:
    quantiles = manifest.calibration.win_probability_quantiles
    return float(np.interp(level, np.linspace(0.0, 1.0, len(quantiles)), quantiles))


def _shown(figure: Interval, *, sign: str = "", percent: bool = False) -> str:
    pattern = f"{{:{sign}.1f}}" if percent else f"{{:{sign}.3f}}"
    value, low, high = (pattern.format(100 * end if percent else end) for end in figure)
    return f"{value} [{low}, {high}]"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
