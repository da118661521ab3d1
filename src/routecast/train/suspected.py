"""Labelled prompts without parts that do not belong: training judges them as they are served.

A router scores such a prompt without these parts too, and takes the smaller score. What it is
calibrated and reported on must be that score, predicted like the other without the prompt's label.
"""

from dataclasses import dataclass

import numpy as np

from routecast.routers.belonging import NOTHING_SUSPECTED, Belonging, Guard
from routecast.train.registry import Lesson
from routecast.types import EmbeddingArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class SuspectedPrompts:
    """Labelled prompts without the parts that are suspected not to belong to them.

    Attributes:
        belonging: How alike the parts of a prompt must be.
        texts: What is left of prompts; one prompt may have two.
        embeddings: Of the texts, shape (n_texts, dimension).
        rows: Position of each text's prompt among the labelled ones, shape (n_texts,).
    """

    belonging: Belonging
    texts: list[str]
    embeddings: EmbeddingArray
    rows: IntArray

    def smallest(self, gaps: FloatArray, gaps_of_texts: FloatArray) -> FloatArray:
        """Return each prompt's gap, or that of one of its texts where it is smaller.

        Args:
            gaps: Of the labelled prompts, shape (n_labelled,).
            gaps_of_texts: Shape (n_texts,).
        """
        smallest = gaps.copy()
        np.minimum.at(smallest, self.rows, gaps_of_texts)
        return smallest


def suspected_prompts(lesson: Lesson, rows: IntArray) -> SuspectedPrompts:
    """Measure which parts of labelled prompts belong to them, and leave out those that do not.

    Args:
        lesson: Has the prompts and their embedder.
        rows: Positions of the labelled prompts, shape (n_labels,).
    """
    if lesson.embedder is None:
        return nothing_suspected(lesson.embeddings)
    prompts = [lesson.prompts[row] for row in rows.tolist()]
    belonging = Belonging.of(prompts, lesson.embedder)
    guard = Guard(belonging, lesson.embedder)
    found = [(row, part) for row, prompt in enumerate(prompts) for part in guard.parts(prompt)]
    texts = [part for _, part in found]
    return SuspectedPrompts(
        belonging,
        texts,
        lesson.embedder.embed(texts) if texts else lesson.embeddings[:0],
        np.array([row for row, _ in found], dtype=np.int64),
    )


def nothing_suspected(embeddings: EmbeddingArray) -> SuspectedPrompts:
    """Return no texts, with vectors as long as these, shape (n_prompts, dimension)."""
    return SuspectedPrompts(NOTHING_SUSPECTED, [], embeddings[:0], np.empty(0, dtype=np.int64))
