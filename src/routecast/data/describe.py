"""What an engineer wants to see of a table before using it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from routecast.data.columns import floats_of
from routecast.data.comparisons import Comparisons
from routecast.data.model_figures import (
    ModelFigures,
    figures_of_comparisons,
    figures_of_qualities,
)
from routecast.data.outcomes import COST_USD, QUALITY
from routecast.data.readers.context import Kind, ReadOptions
from routecast.data.readers.opening import BENCHMARK_FORMAT, is_benchmark, open_table
from routecast.data.readers.routellm_eval import read_routellm_eval
from routecast.data.readers.whole import whole_table
from routecast.data.reading import Dropped
from routecast.data.tally import Tally

if TYPE_CHECKING:
    import polars as pl

_QUANTILES = {
    "min": 0.0,
    "5%": 0.05,
    "25%": 0.25,
    "median": 0.5,
    "75%": 0.75,
    "95%": 0.95,
    "max": 1,
}
_LANGUAGES = ("language", "lang")
_NEEDED = (
    "prompt",
    "messages",
    "model_a",
    "model_b",
    "outcome",
    "winner",
    "weight",
    "source",
    "group",
    *_LANGUAGES,
)
_NEEDED_PREFIXES = (QUALITY, COST_USD)
_PROMPT, _CHARS, _PAIR = "prompt hash", "prompt characters", "hash of both models"


@dataclass(frozen=True, kw_only=True)
class Groups:
    """How rows are spread over the column ``group``.

    Attributes:
        n_groups: Distinct groups; rows without one are not counted.
        largest: Rows of the largest.
    """

    n_groups: int
    largest: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """Figures of a table.

    Attributes:
        source: What was read.
        format: Name of its format.
        kind: The contract that it follows, or becomes when it is imported.
        n_rows: Rows, those left out not counted.
        n_prompts: Distinct prompts; None where there are no prompts.
        n_duplicates: Rows that repeat an earlier one's prompt and models.
        prompt_chars: Characters per distinct prompt: mean, and quantiles by name.
        models: Every model's figures, best win rate first.
        tie_share: Share of comparisons that are ties, in [0, 1], by weight; None for prompts.
            Outcomes are compared model by model, where both qualities are known.
        soft_share: Share of comparisons that are neither won, lost nor tied; None for others.
        label_sources: Rows by ``source``, most first; empty without that column.
        languages: Rows by ``language`` or ``lang``, likewise.
        groups: None without the column ``group``.
        left_out: What could not be described, and why.
    """

    source: str
    format: str
    kind: Kind
    n_rows: int
    n_prompts: int | None
    n_duplicates: int
    prompt_chars: Mapping[str, float] | None = None
    models: tuple[ModelFigures, ...] = ()
    tie_share: float | None = None
    soft_share: float | None = None
    label_sources: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    groups: Groups | None = None
    left_out: tuple[Dropped, ...] = ()


def describe_table(
    where: str | Path,
    *,
    format_name: str | None = None,
    quality_range: tuple[float, float] = (0.0, 1.0),
    skip_bad: bool = False,
    split: str | None = None,
) -> Description:
    """Describe a table in any format that can be imported.

    Args:
        where: A file, ``hf:OWNER/NAME``, or the folder of one of RouteLLM's benchmarks.
        format_name: Name of the format; guessed from the columns when None.
        quality_range: Lowest and highest quality that the scale knows; for outcomes.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.
        split: Which split of a data set of the Hub.

    Raises:
        ConfigError: If an option means nothing for this source.
        DataError: If the source is not usable, or at the first bad row unless they are skipped.
        MissingExtraError: If polars, or for the Hub ``datasets``, is not installed.
    """
    if is_benchmark(where, format_name):
        result = read_routellm_eval(where)
        return _describe(
            _without_texts(result.table.table),
            source=Path(where).name,
            format_name=BENCHMARK_FORMAT,
            kind="outcomes",
            left_out=result.dropped,
        )
    opened = open_table(where, format_name=format_name, split=split)
    options = ReadOptions(
        min_prompt_chars=1,
        quality_range=quality_range,
        answers="answers" not in opened.table_format.options,
    )
    tally = Tally(skip_bad=skip_bad)
    reading, batches = opened.read(options, tally, keep=_is_needed)
    slim = (batch.with_table(_without_texts(batch.table)) for batch in batches if len(batch))
    return _describe(
        whole_table(slim, reading),
        source=opened.source.name,
        format_name=opened.table_format.name,
        kind=opened.kind,
        left_out=tally.dropped(),
    )


def _describe(
    table: "pl.DataFrame",
    *,
    source: str,
    format_name: str,
    kind: Kind,
    left_out: tuple[Dropped, ...],
) -> Description:
    """Describe a table whose prompts have gone, `_without_texts`."""
    models, tie_share, soft_share = _model_figures(table, kind)
    n_prompts = table[_PROMPT].n_unique() if _PROMPT in table.columns else None
    keys = [name for name in (_PROMPT, _PAIR) if name in table.columns]
    return Description(
        source=source,
        format=format_name,
        kind=kind,
        n_rows=table.height,
        n_prompts=n_prompts,
        n_duplicates=0 if n_prompts is None else table.height - table.select(keys).n_unique(),
        prompt_chars=_prompt_chars(table),
        models=models,
        tie_share=tie_share,
        soft_share=soft_share,
        label_sources=_counts(table, ("source",)),
        languages=_counts(table, _LANGUAGES),
        groups=_groups(table),
        left_out=left_out,
    )


def _is_needed(column: str) -> bool:
    return column in _NEEDED or column.startswith(_NEEDED_PREFIXES)


def _without_texts(table: "pl.DataFrame") -> "pl.DataFrame":
    """Keep what figures are made from; of prompts a 64-bit hash and the length.

    So a million comparisons take tens of bytes each. Two prompts of a million share a hash with a
    probability of 3e-8.
    """
    made = []
    if "prompt" in table.columns:
        prompts = table["prompt"]
        made += [prompts.hash(seed=0).alias(_PROMPT), prompts.str.len_chars().alias(_CHARS)]
    if "model_a" in table.columns:
        either_first = table["model_a"].hash(seed=0) ^ table["model_b"].hash(seed=0)
        made.append(either_first.alias(_PAIR))
    kept = [name for name in table.columns if _is_needed(name) and name != "prompt"]
    return table.with_columns(made).select(*kept, *(column.name for column in made))


def _model_figures(
    table: "pl.DataFrame", kind: Kind
) -> tuple[tuple[ModelFigures, ...], float | None, float | None]:
    if kind == "comparisons":
        comparisons = Comparisons(table=table)
        outcome, weight = comparisons.outcome, comparisons.weight
        ties = float(np.average(outcome == 0.5, weights=weight))
        soft = float(np.average(~np.isin(outcome, (0.0, 0.5, 1.0)), weights=weight))
        return figures_of_comparisons(comparisons), ties, soft
    if kind == "outcomes":
        qualities, costs_usd = (
            {
                name.removeprefix(prefix): floats_of(table[name])
                for name in table.columns
                if name.startswith(prefix)
            }
            for prefix in (QUALITY, COST_USD)
        )
        return (*figures_of_qualities(qualities, costs_usd), None)
    return (), None, None


def _prompt_chars(table: "pl.DataFrame") -> dict[str, float] | None:
    if _PROMPT not in table.columns:
        return None
    n_chars = table.select(_PROMPT, _CHARS).unique(_PROMPT)[_CHARS].to_numpy()
    quantiles = np.quantile(n_chars, list(_QUANTILES.values()))
    named = dict(zip(_QUANTILES, quantiles.tolist(), strict=True))
    return {"mean": float(n_chars.mean()), **named}


def _counts(table: "pl.DataFrame", names: tuple[str, ...]) -> dict[str, int]:
    present = [name for name in names if name in table.columns]
    if not present:
        return {}
    counts = table[present[0]].drop_nulls().cast(str).value_counts(sort=True)
    return dict(counts.iter_rows())


def _groups(table: "pl.DataFrame") -> Groups | None:
    if "group" not in table.columns:
        return None
    sizes = table["group"].drop_nulls().value_counts()["count"]
    return Groups(n_groups=len(sizes), largest=int(sizes.max() or 0))  # type: ignore[arg-type]
