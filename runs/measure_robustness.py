"""Measure what changed and added text does to the decisions of routers, trained and not.

    python -m runs.measure_robustness --data DIR --output results/robustness.md

DIR is the folder of labelled sets. `ridge` and `blend` are trained on the first draw of labels of
the study of few labels, and measured on prompts of the same set that were not drawn, as
`routecast evaluate --robustness` measures. Takes a minute on one core.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from runs.few_labels.cells import draw_split
from runs.few_labels.fits import WHOLE, prepare_labels
from runs.few_labels.sets import PAIRS, Sample, read_sample

from routecast.artifacts import load_router
from routecast.embed.static import StaticEmbedder, load_static
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.metrics import average_gap_recovered
from routecast.evaluate.robustness import measure_robustness
from routecast.evaluate.study import Robustness
from routecast.policy.abstaining import DEFAULT_ON_ROUTER_ERROR, routed_scores
from routecast.routers.protocol import Router
from routecast.train.fitting import fit_all
from routecast.train.registry import find_family
from routecast.types import IntArray

SETS = (("mmlu", 1_000), ("llmrouter", 1_000), ("gsm8k", 300))
"""Sets and numbers of labels: the first pair of each."""

TRAINED = ("ridge", "blend")
UNTRAINED = ("default", "length", "random")
BARS = {
    "upper_case": 0.03,
    "lower_case": 0.03,
    "spaces": 0.03,
    "rewrites": 0.12,
    "1000_characters": 0.3,
    "random_prefix": 0.1,
    "climbed_prefix": 0.5,
}
"""The most that is wanted of a learned router."""

SEED = 0

INTRODUCTION = """\
What [`--robustness`](../docs/evaluation.md#robustness) says of prompts that a router was not
trained on, at the threshold that sends half of them to the strong model. Flipped is the share of
changed prompts whose model is another than before; lifted the share of the weak model's prompts
that go to the strong one. `ridge` and `blend` learned from labels of the same set, the default
router from other sets (its training holds some of LLMRouter's prompts). In brackets Wilson's 95%
intervals; N is that of the first router. APGR is exact, over all prompts without a label (at most
4,000), and .5 at random."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("results/robustness.md"))
    options = parser.parse_args(arguments)
    embedder = load_static()
    lines = list(page_lines(options.data, embedder))
    options.output.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


def page_lines(data: Path, embedder: StaticEmbedder) -> Iterator[str]:
    """Yield the lines of the page, set by set as they are measured."""
    yield "# Robustness"
    yield ""
    yield "    python -m runs.measure_robustness --data DIR --output results/robustness.md"
    yield ""
    yield INTRODUCTION
    for name, n_labels in SETS:
        pair = next(pair for pair in PAIRS if pair.name == name)
        sample = read_sample(pair, embedder, data)
        labelled, rest = draw_split(sample.keys, n_labels, SEED)
        routers = routers_for(sample, labelled, embedder)
        prompts = [sample.prompts[row] for row in rest.tolist()]
        found = [
            measure_robustness(
                name,
                router.win_probabilities,
                prompts,
                words=embedder.whole_words(),
                on_router_error=DEFAULT_ON_ROUTER_ERROR,
                seed=SEED,
            )
            for name, router in routers.items()
        ]
        quality = [apgr_of(router, sample, rest) for router in routers.values()]
        yield ""
        yield f"## {pair.title}, {n_labels:,} labels"
        yield ""
        yield from table_lines(found, quality)
        print(pair.title, file=sys.stderr)


def routers_for(sample: Sample, labelled: IntArray, embedder: StaticEmbedder) -> dict[str, Router]:
    """Return routers by name, those that learn trained on the labelled rows."""
    labels = prepare_labels(sample, labelled, embedder=embedder, seed=SEED, fractions=WHOLE)
    trained = {
        name: fit_all(find_family(name), [{}], labels, embedder=embedder, seed=SEED)[0].bound
        for name in TRAINED
    }
    return trained | {name: load_router(name).router for name in UNTRAINED}


def apgr_of(router: Router, sample: Sample, rows: IntArray) -> float:
    """Return the exact APGR on some rows of a sample."""
    scores = router.win_probabilities([sample.prompts[row] for row in rows.tolist()])
    curve = cost_quality_curve(
        routed_scores(scores, DEFAULT_ON_ROUTER_ERROR),
        weak_quality=sample.weak[rows],
        strong_quality=sample.strong[rows],
    )
    return average_gap_recovered(curve)


def table_lines(found: Sequence[Robustness], apgr: Sequence[float]) -> Iterator[str]:
    """Yield one table: a router per column, a change per row, what is wanted beside it."""
    yield f"| | wanted | N | {' | '.join(one.router for one in found)} |"
    yield "|---|---|---|" + "---|" * len(found)
    for kind in ("flipped", "lifted"):
        for name, first in getattr(found[0], kind).items():
            figures = [getattr(one, kind)[name].figure for one in found]
            shown = " | ".join(f"{f.value:.2f} [{f.low:.2f}, {f.high:.2f}]" for f in figures)
            bar = f"{BARS[name]:.2f}" if name in BARS else ""
            yield f"| {kind}: {name.replace('_', ' ')} | {bar} | {first.n_prompts:,} | {shown} |"
    yield f"| APGR | | | {' | '.join(f'{value:.3f}' for value in apgr)} |"
    strong = [one.strong_share for one in found]
    if not np.allclose(strong, 0.5, atol=0.01):
        yield f"| strong calls | | | {' | '.join(f'{share:.3f}' for share in strong)} |"


if __name__ == "__main__":
    sys.exit(main())
