import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.errors import ArtifactError
from routecast.routers.blend_spread import Spread


def spread(n_centres: int = 2, *, seed: int = 0) -> Spread:
    generator = np.random.default_rng(seed)
    return Spread(
        of_centres=generator.normal(size=(n_centres, 3)).astype(np.float32).astype(np.float64),
        of_length=generator.normal(size=3),
        of_ones=generator.normal(size=3),
        signs=np.array([-1.0, 1.0, -1.0]),
        prior=0.5,
        length_variance=0.1,
    )


def test_a_deviation_is_the_root_of_prior_and_signed_squares_worked_by_hand() -> None:
    # Prior 0.5 (1 + 0.1 * 2^2) = 0.7. Squares: (0.5 * 0.4 + 2 * 0.1 + 0)^2 = 0.16 taken away and
    # (0.5 * 0 + 2 * 0 + 0.3)^2 = 0.09 added: 0.63, whose root is 0.7937.
    found = Spread(
        of_centres=np.array([[0.4, 0.0]]),
        of_length=np.array([0.1, 0.0]),
        of_ones=np.array([0.0, 0.3]),
        signs=np.array([-1.0, 1.0]),
        prior=0.5,
        length_variance=0.1,
    )
    assert found.deviations(np.array([[0.5]]), np.array([2.0])) == pytest.approx([0.63**0.5])


@given(st.integers(0, 1_000))
def test_rounding_never_makes_a_deviation_that_is_no_number(seed: int) -> None:
    generator = np.random.default_rng(seed)
    kernel, lengths = generator.random((5, 2)) * 3, generator.normal(size=5)
    assert (spread(seed=seed).deviations(kernel, lengths) >= 0.0).all()


def test_tensors_rebuild_the_same_spread() -> None:
    kernel, lengths = np.array([[0.3, 0.9], [0.0, 0.1]]), np.array([0.5, -2.0])
    rebuilt = Spread.from_tensors(spread().tensors(), n_centres=2)
    assert rebuilt is not None
    assert rebuilt.deviations(kernel, lengths).tolist() == (
        spread().deviations(kernel, lengths).tolist()
    )
    assert Spread.from_tensors({}, n_centres=2) is None


def test_half_a_spread_and_one_of_other_centres_are_refused() -> None:
    tensors = spread().tensors()
    with pytest.raises(ArtifactError, match=r"3 centres need .*\(3, 3\)"):
        Spread.from_tensors(tensors, n_centres=3)
    del tensors["spread_prior"]
    with pytest.raises(ArtifactError, match="spread_prior"):
        Spread.from_tensors(tensors, n_centres=2)
