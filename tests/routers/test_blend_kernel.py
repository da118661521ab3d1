import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel

from routecast.routers.blend_kernel import (
    PromptViews,
    Scales,
    SurfaceScale,
    describe,
    likenesses,
    mix_kernels,
)
from routecast.routers.blend_terms import TermRows, TermScale
from routecast.routers.blend_topics import Topics
from routecast.types import EmbeddingArray


def product_kernel(
    left: PromptViews, right: PromptViews, *, form_weight: float = 1.0
) -> EmbeddingArray:
    content, form = likenesses(left, right)
    return mix_kernels(content, form, form_weight=form_weight)


def terms(*rows: dict[int, float], n_slots: int = 8) -> TermRows:
    slots = [slot for row in rows for slot in row]
    values = [value for row in rows for value in row.values()]
    ends = np.cumsum([0, *map(len, rows)])
    return TermRows(ends, np.array(slots, np.int64), np.array(values, np.float32), n_slots)


def random_terms(generator: np.random.Generator, n_prompts: int) -> TermRows:
    rows = []
    for values in generator.random((n_prompts, 3)) + 0.1:
        slots = np.sort(generator.choice(8, 3, replace=False)).tolist()
        rows.append(dict(zip(slots, values / np.linalg.norm(values), strict=True)))
    return terms(*rows)


def random_views(n_prompts: int, *, seed: int) -> PromptViews:
    generator = np.random.default_rng(seed)
    vectors, topics = generator.normal(size=(2, n_prompts, 6))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    topics = np.abs(topics) / np.linalg.norm(topics, axis=1)[:, None]
    return PromptViews(
        embeddings=vectors.astype(np.float32),
        topics=topics.astype(np.float32),
        words=random_terms(generator, n_prompts),
        surfaces=generator.normal(size=(n_prompts, 15)) / 4,
        shapes=random_terms(generator, n_prompts),
    )


def test_the_kernel_of_two_prompts_worked_by_hand() -> None:
    # Embeddings at right angles: |e - e'|^2 = 2, u = exp(-1). Topics: .6. Words (.6, .8) and
    # (1, 0): .6. Surfaces (1, 1, 0...) apart: |s - s'|^2 = 2, v = exp(-1/2). Shapes: .8.
    surfaces = np.zeros((1, 15))
    left = PromptViews(
        embeddings=np.array([[1.0, 0.0]], np.float32),
        topics=np.array([[1.0, 0.0]], np.float32),
        words=terms({0: 0.6, 1: 0.8}),
        surfaces=surfaces,
        shapes=terms({3: 1.0}),
    )
    other = surfaces.copy()
    other[0, :2] = 1.0
    right = PromptViews(
        embeddings=np.array([[0.0, 1.0]], np.float32),
        topics=np.array([[0.6, 0.8]], np.float32),
        words=terms({0: 1.0}),
        surfaces=other,
        shapes=terms({3: 0.8, 5: 0.6}),
    )
    of_embeddings = (math.exp(-1) + math.exp(-2) + math.exp(-4)) / 3
    of_content = (2 * of_embeddings + 2 * 0.6 + 0.6) / 5
    of_surfaces = (math.exp(-0.5) + math.exp(-1) + math.exp(-2)) / 3
    of_form = (of_surfaces + math.exp(4 * 0.8 - 4)) / 2
    assert product_kernel(left, right) == pytest.approx(np.array([[of_content * of_form]]))
    mostly = of_content * (0.25 + 0.75 * of_form)
    assert product_kernel(left, right, form_weight=0.75) == pytest.approx(np.array([[mostly]]))


def test_without_terms_and_topics_it_is_a_product_of_means_of_gaussian_kernels() -> None:
    left, right = (
        replace(
            views,
            topics=np.zeros_like(views.topics),
            words=views.words.without_terms(),
            shapes=views.shapes.without_terms(),
        )
        for views in (random_views(7, seed=1), random_views(5, seed=2))
    )
    of_content = sum(rbf_kernel(left.embeddings, right.embeddings, gamma=g) for g in (0.5, 1, 2))
    of_surface = sum(rbf_kernel(left.surfaces, right.surfaces, gamma=g) for g in (0.25, 0.5, 1))
    expected = 2 * of_content / 15 * (of_surface / 3 + math.exp(-4)) / 2
    assert product_kernel(left, right) == pytest.approx(expected, rel=1e-5)


@given(st.integers(1, 12), st.integers(0, 1000), st.floats(0, 1))
def test_a_prompt_is_most_like_itself_and_no_direction_has_a_negative_length(
    n_prompts: int, seed: int, form_weight: float
) -> None:
    views = random_views(n_prompts, seed=seed)
    kernel = product_kernel(views, views, form_weight=form_weight)
    assert kernel == pytest.approx(kernel.T)
    assert np.diag(kernel) == pytest.approx(np.ones(n_prompts), abs=1e-6)
    assert kernel.max() <= 1.0 + 1e-6
    assert np.linalg.eigvalsh(kernel).min() > -1e-6


def test_part_of_the_prompts_has_part_of_the_kernel() -> None:
    views = random_views(9, seed=3)
    rows = np.array([4, 0, 7])
    part = product_kernel(views.take(rows), views.take(slice(2, 5)))
    assert part == pytest.approx(product_kernel(views, views)[rows][:, 2:5])


def test_descriptions_of_some_prompts_are_those_of_all_cut_out() -> None:
    prompts = ["name a river", "Prove: 2 + 2 = 4.", "", "Tea, TEA or tea?"]
    vectors = np.eye(4, dtype=np.float32)
    described = describe(prompts, vectors)
    scales = Scales(
        surface=SurfaceScale.of(described.features),
        topics=Topics(np.zeros(4, np.float32), vectors[:3], np.array([1, 2])),
        words=TermScale.of(described.words),
        shapes=TermScale.of(described.shapes),
    )
    rows = np.array([3, 1])
    alone = scales.apply(describe([prompts[3], prompts[1]], vectors[rows]))
    assert len(described.take(rows)) == 2
    for views in (scales.apply(described.take(rows)), scales.apply(described).take(rows)):
        assert product_kernel(views, views) == pytest.approx(product_kernel(alone, alone))


def test_a_scale_cuts_off_and_lives_with_features_that_never_differ() -> None:
    features = np.zeros((4, 17))
    features[:, 0] = [1.0, 3.0, 1.0, 3.0]  # mean 2, deviation 1
    scale = SurfaceScale.of(features)
    scaled = scale.apply(np.array([[4.0, 0.5] + [0.0] * 15]))[0] * math.sqrt(17)
    # (4 - 2) / 1 = 2; 0.5 / 0.001 is cut off at 4.
    assert scaled.tolist() == pytest.approx([2.0, 4.0] + [0.0] * 15)
