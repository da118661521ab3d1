"""A sample of traffic to calibrate on: prompts alone, or with what two models' answers came to."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from routecast.calibrate.threshold import SampleOutcomes
from routecast.data.prompts import iter_prompts
from routecast.errors import DataError
from routecast.evaluate.costs import answer_costs_usd
from routecast.types import IntArray
from routecast.upstream.prices import Price

MAX_PROMPTS = 20_000
"""Of a larger file so many rows are calibrated on: a share of 30% is then known to .6 points."""

_ROWS_BETWEEN = 4096


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Prompts, and what is known of them.

    Attributes:
        name: What reports and artifacts call it, in words; no prompt's text.
        prompts: In row order; a prompt may occur more than once, as in traffic.
        outcomes: In the same order, or None.
        groups: One integer per prompt, equal within a conversation, shape (n_prompts,), or None.
        n_unpriced: Rows left out because a cost is unknown while others are known.
    """

    name: str
    prompts: list[str]
    outcomes: SampleOutcomes | None = None
    groups: IntArray | None = None
    n_unpriced: int = 0

    def take(self, keep: npt.NDArray[np.bool_]) -> "Sample":
        """Return the rows where ``keep``, shape (n_prompts,), is True; the name stays."""
        return replace(
            self,
            prompts=[prompt for prompt, kept in zip(self.prompts, keep, strict=True) if kept],
            outcomes=None if self.outcomes is None else self.outcomes.take(keep),
            groups=None if self.groups is None else self.groups[keep],
        )


def read_prompt_sample(
    path: str | Path, *, seed: int = 0, watch: Callable[[int, int | None], None] | None = None
) -> Sample:
    """Read a file of prompts; JSONL and CSV need no extra.

    Of more than `MAX_PROMPTS` a random choice is kept, in row order, and the sample's name says so.

    Args:
        path: JSONL, CSV or Parquet.
        seed: Of the choice.
        watch: Called with the number of rows read so far, and None for how many there are.

    Raises:
        DataError: If the file cannot be read, a row is bad, or there is no row.
        MissingExtraError: If the file is Parquet and polars is not installed.
    """
    kept: list[tuple[int, str]] = []  # with the row's number; Vitter (1985), algorithm R
    rng, n_rows = random.Random(seed), 0  # noqa: S311 (a choice of rows, not a secret)
    for n_rows, row in enumerate(iter_prompts(path), start=1):
        if watch is not None and n_rows % _ROWS_BETWEEN == 0:
            watch(n_rows, None)
        if n_rows <= MAX_PROMPTS:
            kept.append((n_rows, row.prompt))
        elif (place := rng.randrange(n_rows)) < MAX_PROMPTS:
            kept[place] = (n_rows, row.prompt)
    if not kept:
        raise DataError(f"{str(path)!r} has no prompts; give a file with at least one")
    prompts = [prompt for _, prompt in sorted(kept)]
    return Sample(name=_named(len(prompts), path, n_rows=n_rows, seed=seed), prompts=prompts)


def read_outcome_sample(
    path: str | Path,
    *,
    strong: str,
    weak: str,
    quality_range: tuple[float, float] = (0.0, 1.0),
    strong_price: Price | None = None,
    weak_price: Price | None = None,
    seed: int = 0,
) -> Sample:
    """Read a file of outcomes and keep the rows where both models' qualities are known.

    Costs are the columns ``cost_usd|NAME``; for a model whose price is given, its tokens times
    that instead. They are left out unless both models have them. Rows whose cost is unknown for
    one of the two are left out and counted. Of more than `MAX_PROMPTS` rows a random choice is
    kept, in row order, and the sample's name says so.

    Args:
        path: Parquet, JSONL or CSV.
        strong: Name of the strong model.
        weak: Name of the weak model.
        quality_range: Lowest and highest quality that the scale knows.
        strong_price: Of the strong model's tokens.
        weak_price: Of the weak model's tokens.
        seed: Of the choice.

    Raises:
        DataError: If the file cannot be read, a value is not accepted, a model is unknown, or a
            price is given for a model without tokens.
        MissingExtraError: If polars is not installed.
    """
    from routecast.data.readers.native import read_outcomes

    pair = read_outcomes(path, quality_range=quality_range).table.pair(strong=strong, weak=weak)
    strong_cost, weak_cost = (
        answer_costs_usd(pair, model, price)
        for model, price in ((strong, strong_price), (weak, weak_price))
    )
    known = np.ones(len(pair), dtype=np.bool_)
    if strong_cost is None or weak_cost is None:
        strong_cost = weak_cost = None
    else:
        known = ~np.isnan(strong_cost) & ~np.isnan(weak_cost)
    if not known.any():
        raise DataError(f"no row of {Path(path).name!r} has the cost of {strong!r} and of {weak!r}")
    outcomes = SampleOutcomes(
        strong=strong,
        weak=weak,
        strong_quality=pair.strong_quality,
        weak_quality=pair.weak_quality,
        strong_cost_usd=strong_cost,
        weak_cost_usd=weak_cost,
    )
    n_known = int(known.sum())
    kept = _chosen(known, seed)
    n_kept = int(kept.sum())
    whole = Sample(
        name=f"{_named(n_kept, path, n_rows=n_known, seed=seed)} ({strong} against {weak})",
        prompts=pair.prompts,
        outcomes=outcomes,
        groups=pair.group_codes,
        n_unpriced=len(pair) - n_known,
    )
    return whole.take(kept)


def _chosen(known: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.bool_]:
    """Keep at most `MAX_PROMPTS` of the known rows, at random."""
    rows = np.flatnonzero(known)
    if len(rows) > MAX_PROMPTS:
        rows = np.random.default_rng(seed).choice(rows, MAX_PROMPTS, replace=False)
    kept = np.zeros(len(known), dtype=np.bool_)
    kept[rows] = True
    return kept


def _named(n_prompts: int, path: str | Path, *, n_rows: int, seed: int) -> str:
    source = "standard input" if str(path) == "-" else Path(path).name
    if n_prompts < n_rows:
        return f"{n_prompts:,} of {n_rows:,} prompts of {source}, drawn at random (seed {seed})"
    return f"{n_prompts:,} {'prompt' if n_prompts == 1 else 'prompts'} of {source}"
