import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel

from routecast.routers.blend_kernel import PromptViews, SurfaceScale, product_kernel


def random_views(n_prompts: int, *, seed: int) -> PromptViews:
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(n_prompts, 6))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return PromptViews(vectors.astype(np.float32), generator.normal(size=(n_prompts, 15)) / 4)


def test_the_kernel_of_two_prompts_worked_by_hand() -> None:
    # Vectors at right angles: |e - e'|^2 = 2, u = exp(-1). Surfaces (1, 1, 0...) apart:
    # |s - s'|^2 = 2, v = exp(-1/2).
    left = PromptViews(np.array([[1.0, 0.0]], np.float32), np.zeros((1, 15)))
    surfaces = np.zeros((1, 15))
    surfaces[0, :2] = 1.0
    right = PromptViews(np.array([[0.0, 1.0]], np.float32), surfaces)
    of_content = (math.exp(-1) + math.exp(-2) + math.exp(-4)) / 3
    of_form = (math.exp(-0.5) + math.exp(-1) + math.exp(-2)) / 3
    assert product_kernel(left, right) == pytest.approx(np.array([[of_content * of_form]]))


def test_it_is_the_product_of_two_means_of_gaussian_kernels() -> None:
    left, right = random_views(7, seed=1), random_views(5, seed=2)
    of_content = sum(rbf_kernel(left.embeddings, right.embeddings, gamma=g) for g in (0.5, 1, 2))
    of_form = sum(rbf_kernel(left.surfaces, right.surfaces, gamma=g) for g in (0.25, 0.5, 1))
    assert product_kernel(left, right) == pytest.approx(of_content * of_form / 9, rel=1e-5)


@given(st.integers(1, 12), st.integers(0, 1000))
def test_a_prompt_is_most_like_itself_and_no_direction_has_a_negative_length(
    n_prompts: int, seed: int
) -> None:
    views = random_views(n_prompts, seed=seed)
    kernel = product_kernel(views, views)
    assert kernel == pytest.approx(kernel.T)
    assert np.diag(kernel) == pytest.approx(np.ones(n_prompts), abs=1e-6)
    assert kernel.max() <= 1.0
    assert np.linalg.eigvalsh(kernel).min() > -1e-6


def test_a_scale_cuts_off_and_lives_with_features_that_never_differ() -> None:
    features = np.zeros((4, 15))
    features[:, 0] = [1.0, 3.0, 1.0, 3.0]  # mean 2, deviation 1
    scale = SurfaceScale.of(features)
    scaled = scale.apply(np.array([[4.0, 0.5] + [0.0] * 13]))[0] * math.sqrt(15)
    # (4 - 2) / 1 = 2; 0.5 / 0.001 is cut off at 4.
    assert scaled.tolist() == pytest.approx([2.0, 4.0] + [0.0] * 13)
