"""Which training prompts are also in the evaluation data: by their text, and nearly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.data.leakage import contained_questions, question_stem
from routecast.data.near_duplicates import MIN_COSINE, MIN_JACCARD, find_near_duplicates
from routecast.embed.protocol import Embedder

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class LeakageReport:
    """What two files share.

    Attributes:
        contained: Training rows whose text holds an evaluation prompt or is held by one, after
            normalising, with or without the options of a multiple choice; shape (n_training,).
        near: Training rows that are a near-duplicate of an evaluation prompt; same shape.
        n_evaluation: Rows of the evaluation file.
        n_evaluation_hit: Evaluation rows that some training row matches.
    """

    contained: BoolArray
    near: BoolArray
    n_evaluation: int
    n_evaluation_hit: int

    @property
    def leaked(self) -> BoolArray:
        """Training rows to leave out, shape (n_training,)."""
        return self.contained | self.near


def check_leakage(
    training: Sequence[str],
    evaluation: Sequence[str],
    embedder: Embedder,
    *,
    min_cosine: float = MIN_COSINE,
    min_jaccard: float = MIN_JACCARD,
) -> LeakageReport:
    """Compare every training prompt with every evaluation prompt.

    Multiple choice is also compared without its options, since revised benchmarks change those.

    Args:
        training: Prompts of the training file.
        evaluation: Prompts of the evaluation file.
        embedder: Proposes near-duplicates.
        min_cosine: See `find_near_duplicates`.
        min_jaccard: Likewise.
    """
    contained = np.zeros(len(training), dtype=np.bool_)
    near = np.zeros(len(training), dtype=np.bool_)
    hit = np.zeros(len(evaluation), dtype=np.bool_)
    whole = (list(training), list(evaluation))
    stems = ([question_stem(p) for p in training], [question_stem(p) for p in evaluation])
    for left, right in (whole, stems) if stems != whole else (whole,):
        overlap = contained_questions(left, right)
        contained[overlap.training_rows] = True
        hit[overlap.benchmark_rows] = True
        pairs = find_near_duplicates(
            left,
            embedder.embed(left),
            right,
            embedder.embed(right),
            min_cosine=min_cosine,
            min_jaccard=min_jaccard,
        )
        near[pairs.left_index] = True
        hit[pairs.right_index] = True
    return LeakageReport(
        contained=contained,
        near=near,
        n_evaluation=len(evaluation),
        n_evaluation_hit=int(hit.sum()),
    )
