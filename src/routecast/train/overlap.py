"""Evaluation prompts in the training data: refused, dropped, or allowed on request."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from routecast.data.leakage import MIN_CHARS, contained_questions
from routecast.embed.protocol import Embedder
from routecast.errors import DataError
from routecast.evaluate.leakage import check_leakage
from routecast.train.sources import LabelledSet


class OnOverlap(StrEnum):
    """What becomes of training prompts that are also evaluation prompts."""

    REFUSE = "refuse"
    DROP = "drop"
    ALLOW = "allow"


@dataclass(frozen=True, kw_only=True)
class OverlapReport:
    """What training and evaluation data share.

    Attributes:
        n_prompts: Different training prompts that were looked at.
        n_overlapping: Of them, those that an evaluation prompt is in, or nearly.
        n_excluded: Evaluation prompts that were compared with.
        n_excluded_hit: Of them, those that some training prompt matches.
    """

    n_prompts: int
    n_overlapping: int
    n_excluded: int
    n_excluded_hit: int


def settle_overlap(
    sets: Sequence[LabelledSet],
    excluded: Sequence[str],
    embedder: Embedder,
    *,
    on_overlap: OnOverlap = OnOverlap.REFUSE,
    min_chars: int = MIN_CHARS,
) -> tuple[list[LabelledSet], OverlapReport]:
    """Compare all training prompts with the evaluation prompts, by text and nearly.

    Args:
        sets: What is to be learned from.
        excluded: Evaluation prompts.
        embedder: Proposes near-duplicates.
        on_overlap: Refuse the training data, drop its rows, or go on all the same.
        min_chars: Characters, normalised, from which a whole prompt inside another counts. Fewer
            than the usual also finds chance: it is for weights that are to ship.

    Returns:
        The sets to learn from, and what was found.

    Raises:
        DataError: If there is overlap and it is refused, or nothing is left after dropping.
    """
    prompts = list(dict.fromkeys(prompt for one in sets for prompt in one.preferences.prompts))
    found = check_leakage(prompts, excluded, embedder)
    hits = found.leaked
    if min_chars < MIN_CHARS:
        hits[contained_questions(prompts, excluded, min_chars=min_chars).training_rows] = True
    leaked = frozenset(prompt for prompt, hit in zip(prompts, hits.tolist(), strict=True) if hit)
    report = OverlapReport(
        n_prompts=len(prompts),
        n_overlapping=len(leaked),
        n_excluded=len(excluded),
        n_excluded_hit=found.n_evaluation_hit,
    )
    if leaked and on_overlap is OnOverlap.REFUSE:
        raise DataError(
            f"{len(leaked):,} of {len(prompts):,} training prompts are also evaluation prompts "
            f"({int(found.contained.sum()):,} by their text, {int(found.near.sum()):,} nearly), "
            f"and {found.n_evaluation_hit:,} of {len(excluded):,} evaluation prompts are hit; "
            "leave them out with --drop-overlap, or learn from them all the same with "
            "--allow-overlap"
        )
    if on_overlap is OnOverlap.DROP:
        sets = [one.without(leaked) for one in sets]
        sets = [one for one in sets if len(one.preferences)]
        if not sets:
            raise DataError(
                f"all {len(prompts):,} training prompts are also evaluation prompts; nothing is "
                "left to learn from"
            )
    return list(sets), report
