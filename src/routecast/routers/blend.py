"""The few-label router: kernel regression of the gap between strong and weak.

Wherever the models were labelled on prompts like this one, in content and in form at once, the gap
there counts. Training is in ``routecast.train.blend``.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from routecast.embed.protocol import Embedder, one_by_one
from routecast.routers.binding import refuse_overlap
from routecast.routers.blend_kernel import (
    PromptViews,
    Scales,
    describe,
    likenesses,
    mix_kernels,
)
from routecast.routers.blend_one import OneToAll
from routecast.routers.blend_spread import Spread
from routecast.routers.blend_tensors import (
    check_tensor_shapes,
    format_parts,
    parse_parts,
    require_tensors,
)
from routecast.routers.gaps import EDGE, win_probabilities_of_gaps
from routecast.types import AnyArray, EmbeddingArray, FloatArray

N_FAMILIAR = 5
"""Labelled prompts that a prompt's familiarity is the mean over."""

_BLOCK = 64  # of prompts: what is computed of them stays in a core's cache
_SAME = 1e-6
_NUMBERS = ("intercept", "length_slope", "least_familiarity")
_FORM_WEIGHT = "form_weight"  # which the first artifacts lack: it was 1 then


@dataclass(frozen=True, eq=False)
class Blend:
    """What training found.

    Attributes:
        centres: Labelled prompts that others are compared with.
        scales: What a prompt is measured against before it is compared.
        coefficients: Weight of each centre, shape (n_centres,).
        intercept: The gap far from all centres, about the mean gap, in [-1, 1].
        length_slope: Rise of the gap per standard deviation of the log of length, beside what the
            centres say.
        least_familiarity: The router abstains on prompts that are less familiar.
        form_weight: Of the kernel, in [0, 1].
        spread: How far the expected gap may be off; None for the first artifacts, which have none.
    """

    centres: PromptViews
    scales: Scales
    coefficients: FloatArray
    intercept: float
    length_slope: float
    least_familiarity: float
    form_weight: float = 1.0
    spread: Spread | None = None

    def views(self, prompts: Sequence[str], embeddings: EmbeddingArray) -> PromptViews:
        """Return what the kernel compares, given the prompts' embeddings."""
        return self.scales.apply(describe(prompts, embeddings))

    def predict(self, views: PromptViews) -> tuple[FloatArray, FloatArray]:
        """Return the expected gap and the familiarity of prompts, each of shape (n_prompts,).

        Familiarity is how alike in content times how alike in form the 5 most alike centres are, on
        average, in (0, 1]: 1 for a prompt that was labelled five times over, 0 for one that is like
        none.
        """
        gaps, familiarity = np.empty(len(views)), np.empty(len(views))
        for start in range(0, len(views), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = views if len(views) <= _BLOCK else views.take(rows)
            content, form = likenesses(block, self.centres)
            known = mix_kernels(content, form, form_weight=self.form_weight) @ self.coefficients
            gaps[rows] = self.intercept + self.length_slope * views.log_lengths[rows] + known
            familiarity[rows] = mean_of_largest(content * form)
        return gaps, familiarity

    def predict_one(self, prompt: str, embedding: EmbeddingArray) -> tuple[float, float]:
        """Return the same for one prompt, in two thirds of the time; see `blend_one`.

        Args:
            prompt: Any text.
            embedding: Its unit vector, shape (dimension,).
        """
        content, form, log_length = self._one_to_all.likenesses(prompt, embedding)
        alike = content * form
        of_content, of_both = self._shares_of_coefficients
        known = float(content.dot(of_content)) + float(alike.dot(of_both))
        n_kept = min(N_FAMILIAR, len(alike))
        alike.partition(-n_kept)
        familiarity = float(np.add.reduce(alike[-n_kept:])) / n_kept
        return self.intercept + self.length_slope * log_length + known, familiarity

    @cached_property
    def _one_to_all(self) -> OneToAll:
        return OneToAll(self.centres.columns, self.scales)

    @cached_property
    def _shares_of_coefficients(self) -> tuple[EmbeddingArray, EmbeddingArray]:
        """Coefficients of content, and of content times form; see `mix_kernels`."""
        of_both = self.form_weight * self.coefficients
        of_content = self.coefficients - of_both
        return of_content.astype(np.float32), of_both.astype(np.float32)

    def gap_deviations(self, views: PromptViews) -> FloatArray:
        """Return the standard deviation of the expected gap of prompts, shape (n_prompts,).

        It is that of the mean gap of prompts like this one, given the labels; a single answer
        varies more. A prompt unlike any labelled one has about that of the gap before any label.
        NaN where the artifact says nothing of it.
        """
        deviations = np.full(len(views), np.nan)
        if self.spread is None:
            return deviations
        for start in range(0, len(views), _BLOCK):
            rows = slice(start, start + _BLOCK)
            block = views if len(views) <= _BLOCK else views.take(rows)
            content, form = likenesses(block, self.centres)
            kernel = mix_kernels(content, form, form_weight=self.form_weight)
            deviations[rows] = self.spread.deviations(kernel, views.log_lengths[rows])
        return deviations

    def bind(
        self, *, strong: Sequence[str], weak: Sequence[str], embedder: Embedder
    ) -> "BoundBlend":
        """Return the router of the one pair that it was trained on, whatever the names now are."""
        refuse_overlap(strong, weak)
        return BoundBlend(self, embedder, embedder.embed([""])[0])

    def tensors(self) -> dict[str, AnyArray]:
        """Return the arrays that an artifact stores, by name."""
        return {
            **format_parts(self.centres, self.scales),
            **(self.spread.tensors() if self.spread else {}),
            "coefficients": self.coefficients,
            **{name: np.array([getattr(self, name)]) for name in (*_NUMBERS, _FORM_WEIGHT)},
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, AnyArray]) -> Self:
        """Rebuild from what ``tensors`` returned.

        Raises:
            ArtifactError: If a tensor is missing, or their shapes do not fit together.
        """
        tensors = {_FORM_WEIGHT: np.ones(1), **tensors}
        require_tensors(tensors, ("coefficients", *_NUMBERS))
        n_centres = tensors["coefficients"].size
        expected = {"coefficients": (n_centres,), **dict.fromkeys((*_NUMBERS, _FORM_WEIGHT), (1,))}
        check_tensor_shapes(tensors, expected, n_centres=n_centres)
        centres, scales = parse_parts(tensors, n_centres=n_centres)
        return cls(
            centres=centres,
            scales=scales,
            coefficients=tensors["coefficients"].astype(np.float64),
            spread=Spread.from_tensors(tensors, n_centres=n_centres),
            **{name: float(tensors[name][0]) for name in (*_NUMBERS, _FORM_WEIGHT)},
        )


@dataclass(frozen=True, eq=False)
class BoundBlend:
    """Turns prompts into win probabilities, (1 + expected gap) / 2.

    Attributes:
        blend: What training found.
        embedder: Turns prompts into vectors.
        nothing: The vector of the empty text; a prompt that has it, emoji alone for example, was
            not read, so the router abstains.
    """

    blend: Blend
    embedder: Embedder
    nothing: EmbeddingArray

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return P(strong wins) per prompt, shape (n_prompts,), in (0, 1); NaN where it abstains.

        It abstains where the embedder reads nothing, and where a prompt is less familiar than all
        but one in 200 of the labelled prompts are to the others.
        """
        if len(prompts) == 1:
            return np.array([self.win_probability(prompts[0])])
        embeddings = self.embedder.embed(prompts)
        gaps, familiarity = self.blend.predict(self.blend.views(prompts, embeddings))
        gaps[self._is_unread(embeddings) | (familiarity < self.blend.least_familiarity)] = np.nan
        return win_probabilities_of_gaps(gaps)

    def win_probability(self, prompt: str) -> float:
        """Return the same for one prompt."""
        embedding = self._embed_one(prompt)
        gap, familiarity = self.blend.predict_one(prompt, embedding)
        if familiarity < self.blend.least_familiarity or self._is_unread(embedding):
            return math.nan
        return min(max((1.0 + gap) / 2.0, EDGE), 1.0 - EDGE)

    @cached_property
    def _embed_one(self) -> Callable[[str], EmbeddingArray]:
        return one_by_one(self.embedder)

    def _is_unread(self, embeddings: EmbeddingArray) -> "np.bool_ | np.typing.NDArray[np.bool_]":
        return embeddings @ self.nothing > 1.0 - _SAME

    def familiarity(self, prompts: Sequence[str]) -> FloatArray:
        """Return how much each prompt is like labelled ones, shape (n_prompts,), in (0, 1]."""
        return self.blend.predict(self.blend.views(prompts, self.embedder.embed(prompts)))[1]

    def gap_deviations(self, prompts: Sequence[str]) -> FloatArray:
        """Return how far the expected gap may be off, shape (n_prompts,); see `Blend`."""
        return self.blend.gap_deviations(self.blend.views(prompts, self.embedder.embed(prompts)))

    def win_probabilities_from(
        self, prompts: Sequence[str], embeddings: EmbeddingArray
    ) -> FloatArray:
        """Return P(strong wins) for prompts whose embeddings are at hand, abstaining on none."""
        return win_probabilities_of_gaps(
            self.blend.predict(self.blend.views(prompts, embeddings))[0]
        )


def mean_of_largest(kernel: EmbeddingArray) -> FloatArray:
    """Return the mean of the 5 largest values of each row, or of all where there are fewer."""
    n_kept = min(N_FAMILIAR, kernel.shape[1])
    largest = np.partition(kernel, -n_kept, axis=1)[:, -n_kept:]
    return np.asarray(largest.mean(axis=1, dtype=np.float64))
