"""The page of results."""

import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from runs.few_labels.bars import (
    BARS,
    FEW,
    MANY,
    MAX_CALIBRATION_ERROR,
    TOLERANCE,
    Lag,
    asked_of,
    best,
    calibration_errors,
    too_far,
)
from runs.few_labels.blend_fits import BLEND, HALVES
from runs.few_labels.cells import MAX_EVALUATED, N_RESAMPLES, Cell, RouterFigures
from runs.few_labels.fits import FRACTIONS, LENGTH, MEMBERS, NEIGHBOURS, ORACLE, ROUTERS
from runs.few_labels.neural import NeuralFigure
from runs.few_labels.sets import LEFT_OUT

from routecast.evaluate.metrics import RANDOM_APGR

RANDOM = "random"
INTRODUCTION = f"""\
APGR on every labelled set of the shared data. Labels are drawn from a set by prompt, and the rest
is evaluated on (at most {MAX_EVALUATED:,} prompts a split), equal prompts on one side; nothing else
of the set is used. A cell is the mean over random splits ± its standard error over the splits, the
95% interval of that mean in brackets, then the worst split. The interval is of the draw of labels
and of the prompts together: percentiles of {N_RESAMPLES} resamples of both, equal prompts together.
Ties count in expectation, so a random order has {RANDOM_APGR:.3f}; the oracle knows the outcomes.
Splits are seeds 0 and up; settings of `blend` were chosen on other splits (seeds 100 and up), over
most of these sets together.

`sentence` is all-MiniLM-L6-v2. `{HALVES[0]}` and `{HALVES[1]}` are `blend`
with one half of its kernel. `mf` and `sw` are trained as `routecast train
--outcomes` does it: labels become comparisons of the two models that keep their margins, and
near-duplicates stay together. `mf` and `sw` are fitted to {FRACTIONS[0]:.0%} of the labels, and
{FRACTIONS[1]:.0%} are for validation (they choose the weight decay of `mf`). `blend` is fitted to
all, each label predicted from the others where something is calibrated.
`{NEIGHBOURS}` is the mean gap of the 50 nearest labels."""


FORMER = """\
The full study was last run on 2026-11-21: its `blend` and both halves of it are those of
then, three times as large and with other surface counts. What today's has on the same
pairs, and on two sets more, is in small_blend.md."""


FURTHER = f"""\
Ten draws of {{n_labels}} labels leave standard errors of up to .02, more than most of what is asked
for above. So here are more of them, seeds {{seeds}}, which nothing was chosen on, for `{BLEND}` and
what it is made of. A cell is the mean ± its standard error over the draws; what it is ahead by has
the 95% interval over draws and prompts."""


NEURAL = f"""\
`bert` and `causal` are not trained here: a fit takes minutes to hours. With {MANY:,} gold labels of
MMLU, drawn otherwise than here, their own runs found this, beside baselines on the same draws (mean
over the draws, 95% interval, in parentheses the worst). Their bases are small: all-MiniLM-L6-v2,
and a Llama of 2.6 million weights."""


def page_lines(
    cells: Sequence[Cell], pictures: Sequence[str], neural: Sequence[NeuralFigure] = ()
) -> Iterator[str]:
    """Yield the lines of the page.

    Args:
        cells: What was measured, pair by pair.
        pictures: Names of the figures beside the page.
        neural: What `bert` and `causal` have, from their own pages.
    """
    yield "# Few labels of one's own"
    yield ""
    yield from _command(cells)
    is_full = any(cell.embedder != "static" for cell in cells)
    for paragraph in (*((FORMER,) if is_full else ()), *INTRODUCTION.split("\n\n"), LEFT_OUT):
        yield from textwrap.wrap(paragraph, width=100, break_on_hyphens=False)
        yield ""
    further = [cell for cell in cells if cell.first_seed]
    cells = [cell for cell in cells if not cell.first_seed]
    yield from _bars(cells)
    yield from _further(further)
    yield "## Learning curves"
    yield ""
    for picture in pictures:
        yield f"![APGR against the number of labels]({picture})"
        yield ""
    yield from _means(cells)
    yield from _neural(neural)
    yield "## Pair by pair"
    yield ""
    for title in dict.fromkeys(cell.title for cell in cells):
        yield from _table([cell for cell in cells if cell.title == title])


def _command(cells: Sequence[Cell]) -> Iterator[str]:
    with_sentence = {cell.set_name for cell in cells if cell.embedder != "static"}
    without = sorted({cell.set_name for cell in cells} - with_sentence)
    command = "python -m runs.study_few_labels --data DIR"
    if with_sentence:
        command += " --sentence FOLDER --embeddings CACHE"
        command += f" --static-only {' '.join(without)}" if without else ""
    yield f"    {command}"
    yield ""


def _bars(cells: Sequence[Cell]) -> Iterator[str]:
    yield "## Asked for beforehand"
    yield ""
    yield "| of `blend` | labels | embedder | asked | found | |"
    yield "|---|---|---|---|---|---|"
    for bar in BARS:
        for cell in asked_of(bar, cells):
            found = cell.routers[BLEND]
            yield (
                f"| APGR on {cell.title} | {bar.n_labels:,} | {cell.embedder} | {bar.asked:.3f} | "
                f"{_shown(found)} | {_verdict(found.mean >= bar.asked)} |"
            )
    for embedder in dict.fromkeys(cell.embedder for cell in cells):
        own = [cell for cell in cells if cell.embedder == embedder]
        yield from _conditions(own, embedder)
    yield ""
    yield from _behind(cells)


def _further(cells: Sequence[Cell]) -> Iterator[str]:
    """Say how much of it more draws bear out."""
    if not cells:
        return
    yield "## More draws"
    yield ""
    found = sorted({(cell.first_seed, cell.n_splits) for cell in cells})
    seeds = " and ".join(f"{first:,} to {first + number - 1:,}" for first, number in found)
    text = FURTHER.format(n_labels=FEW, seeds=seeds)
    yield from textwrap.wrap(text, width=100, break_on_hyphens=False)
    yield ""
    names = (BLEND, *MEMBERS)
    yield "| pair | embedder | " + " | ".join(names) + " | ahead of length | of its best member |"
    yield "|---|---|" + "---|" * (len(names) + 2)
    for cell in cells:
        shown = " | ".join(_mean(cell.routers[name]) for name in names)
        ahead = " | ".join(_ahead(best(cell, group)) for group in ((LENGTH,), MEMBERS))
        yield f"| {cell.title} | {cell.embedder} | {shown} | {ahead} |"
    yield ""
    for embedder in dict.fromkeys(cell.embedder for cell in cells):
        own = [cell for cell in cells if cell.embedder == embedder]
        for title, behind in too_far(own).items():
            yield (
                f"- {embedder}: more than {TOLERANCE} below {title} on {len(behind)} of {len(own)} "
                f"pairs, on {sum(one.ahead[1] < 0 for one in behind)} by more than noise."
            )
    yield ""


def _conditions(cells: Sequence[Cell], embedder: str) -> Iterator[str]:
    """Compare with what was asked for on every pair."""
    n_few = sum(cell.n_labels == FEW for cell in cells)
    for title, behind in too_far(cells).items():
        yield (
            f"| pairs where it is more than {TOLERANCE} below {title} | {FEW:,} | {embedder} | 0 | "
            f"{len(behind)} of {n_few} | {_verdict(not behind)} |"
        )
    errors = calibration_errors(cells)
    if errors:
        yield (
            f"| calibration error, on {len(errors)} pairs | {MANY:,} | {embedder} | "
            f"at most {MAX_CALIBRATION_ERROR} | {min(errors):.3f} to {max(errors):.3f} | "
            f"{_verdict(max(errors) <= MAX_CALIBRATION_ERROR)} |"
        )


def _behind(cells: Sequence[Cell]) -> Iterator[str]:
    """List where `blend` lags by more than it may."""
    listed = [(title, one) for title, behind in too_far(cells).items() for one in behind]
    if not listed:
        return
    yield f"Where `blend` is more than {TOLERANCE} behind with {FEW} labels:"
    yield ""
    yield "| pair | embedder | behind | `blend` ahead by | 95% interval |"
    yield "|---|---|---|---|---|"
    for title, one in listed:
        behind = one.router if title == one.router else f"{title}, {one.router}"
        low, high = one.ahead
        yield (
            f"| {one.cell.title} | {one.cell.embedder} | {behind} | {-one.lag:+.3f} | "
            f"[{low:+.3f}, {high:+.3f}] |"
        )
    yield ""


def _means(cells: Sequence[Cell]) -> Iterator[str]:
    """Average over the pairs: other pairs with each number of labels, so compare within a row."""
    yield "Mean over all pairs that have so many labels; compare within a row."
    yield ""
    yield f"| labels | embedder | pairs | {RANDOM} | " + " | ".join(ROUTERS) + " |"
    yield "|---|---|---|---|" + "---|" * len(ROUTERS)
    for n_labels, embedder in _label_counts(cells):
        own = [c for c in cells if (c.n_labels, c.embedder) == (n_labels, embedder)]
        means = [float(np.mean([cell.routers[name].mean for cell in own])) for name in ROUTERS]
        shown = " | ".join(f"{mean:.3f}" for mean in means)
        yield f"| {n_labels:,} | {embedder} | {len(own)} | {RANDOM_APGR:.3f} | {shown} |"
    yield ""


def _neural(figures: Sequence[NeuralFigure]) -> Iterator[str]:
    """Quote what was measured on other draws."""
    if not figures:
        return
    yield "## The neural routers"
    yield ""
    yield from textwrap.wrap(NEURAL, width=100, break_on_hyphens=False)
    yield ""
    yield "| router | evaluated | APGR | from |"
    yield "|---|---|---|---|"
    for one in figures:
        yield f"| {one.router} | {one.n_evaluated} | {one.apgr} | [{one.page}]({one.page}) |"
    yield ""


def _label_counts(cells: Sequence[Cell]) -> list[tuple[int, str]]:
    """Return each number of labels with each embedder, rising, embedders as they come."""
    found = dict.fromkeys((cell.n_labels, cell.embedder) for cell in cells)
    return sorted(found, key=lambda one: one[0])


def _table(cells: Sequence[Cell]) -> Iterator[str]:
    """Tabulate one pair."""
    yield f"### {cells[0].title}"
    yield ""
    yield (
        f"| labels | embedder | splits | evaluated | {RANDOM} | "
        + " | ".join(ROUTERS)
        + " | calibration error | abstained |"
    )
    yield "|---|---|---|---|---|" + "---|" * len(ROUTERS) + "---|---|"
    for cell in sorted(cells, key=lambda one: one.n_labels):
        shown = " | ".join(_shown(cell.routers[name], worst=name != ORACLE) for name in ROUTERS)
        yield (
            f"| {cell.n_labels:,} | {cell.embedder} | {cell.n_splits} | {cell.n_evaluated:,} of "
            f"{cell.n_prompts:,} | {RANDOM_APGR:.3f} | {shown} | "
            f"{np.mean(cell.calibration_errors):.3f} | {100 * np.mean(cell.abstained):.1f}% |"
        )
    yield ""
    yield from _refusals(cells)


def _refusals(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        for name, count in cell.n_refused.items():
            yield (
                f"`{name}` could not be fitted to {count} of the {cell.n_splits} draws of "
                f"{cell.n_labels:,} labels ({cell.embedder}), in which neither model "
                "was better: they count as a random order."
            )
            yield ""


def _mean(figures: RouterFigures) -> str:
    return f"{figures.mean:.3f} ± {figures.standard_error:.3f}"


def _ahead(lag: Lag) -> str:
    low, high = lag.ahead
    return f"{-lag.lag:+.3f} [{low:+.3f}, {high:+.3f}]"


def _shown(figures: RouterFigures, *, worst: bool = True) -> str:
    low, high = figures.interval
    text = f"{figures.mean:.3f} ± {figures.standard_error:.3f} [{low:.3f}, {high:.3f}]"
    return f"{text} {min(figures.apgr):.3f}" if worst else text


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "missed"
