"""Array types that cross module borders."""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
"""Double precision: win probabilities, qualities, costs, statistics."""

EmbeddingArray = npt.NDArray[np.float32]
"""Embeddings, shape (n_texts, dimension), one unit vector per row."""

IntArray = npt.NDArray[np.int64]
"""Indices and counts."""

AnyArray = npt.NDArray[Any]
"""A named tensor of an artifact, of whatever type it was stored in."""
