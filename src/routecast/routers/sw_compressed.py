"""A smaller, quicker `sw`: principal components in place of whole embeddings.

A cosine is the product inside the components plus a rest. The rest is small and differs from prompt
to prompt like noise, but its mean over the comparisons of a cell (wins of one tier over another)
does not cancel. So each cell keeps the mean of its embeddings' rests, and a cell's weight is
multiplied by 1 + rate * (query . mean rest), the first term of the exponential. That one product
makes 64 components more exact than 256 without it.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from routecast.errors import ConfigError
from routecast.routers.sw import SimilarityWeighted
from routecast.routers.sw_prompts import CompressedPrompts, ExactPrompts
from routecast.routers.sw_records import WinRecords
from routecast.types import EmbeddingArray

SingleArray = npt.NDArray[np.float32]

DEFAULT_N_COMPONENTS = 64
DEFAULT_N_RESCORED = 32
_MAX_SAMPLE = 16_384  # prompts that the components are found on
_ROWS_AT_ONCE = 4_096


def compress(
    ranking: SimilarityWeighted,
    *,
    n_components: int = DEFAULT_N_COMPONENTS,
    n_rescored: int | None = None,
) -> SimilarityWeighted:
    """Return the same ranking on principal components of its training prompts.

    Args:
        ranking: With whole embeddings.
        n_components: Components to keep; at most the dimension.
        n_rescored: Candidates per query whose cosine is made exact. By default 0 where prompts are
            normalised by ``train``, which needs no largest cosine and then no whole embeddings, and
            32 by ``query``.

    Raises:
        ConfigError: If the ranking is compressed already, or a number is out of range.
    """
    if not isinstance(ranking.prompts, ExactPrompts):
        raise ConfigError("this sw router is compressed already; compress the one it was made from")
    embeddings = ranking.prompts.embeddings
    if not 1 <= n_components <= embeddings.shape[1]:
        raise ConfigError(
            f"n_components {n_components!r} is out of range; accepted is from 1 to the dimension "
            f"of the embeddings, {embeddings.shape[1]}"
        )
    if n_rescored is None:
        n_rescored = DEFAULT_N_RESCORED if ranking.settings.normalise == "query" else 0
    if n_rescored < 0:
        raise ConfigError(f"n_rescored {n_rescored!r} is out of range; accepted is 0 or more")
    basis = principal_components(embeddings, n_components)
    prompts = CompressedPrompts(
        basis=basis,
        projections=embeddings @ basis,
        embeddings=embeddings[: len(embeddings) if n_rescored else 0].astype(np.float16),
        n_rescored=n_rescored,
    )
    means = mean_by_cell(embeddings, ranking.records)  # (n_tiers, n_tiers, dimension)
    rests = means - (means @ basis) @ basis.T
    return replace(ranking, prompts=prompts, cell_rests=rests.astype(np.float32))


def principal_components(embeddings: EmbeddingArray, n_components: int) -> SingleArray:
    """Return the directions along which embeddings reach farthest from zero.

    They are not centred first: cosines are what has to be kept.

    Args:
        embeddings: Shape (n_prompts, dimension). Of more than 16,384, evenly spread ones are used.
        n_components: How many.

    Returns:
        Orthonormal columns, the farthest-reaching first, shape (dimension, n_components).
    """
    from routecast.stats.eigen import symmetric_eigen  # the extra lab, for training alone

    sample = embeddings[:: -(-len(embeddings) // _MAX_SAMPLE)]
    _, directions = symmetric_eigen((sample.T @ sample).astype(np.float64))
    return np.ascontiguousarray(directions[:, ::-1][:, :n_components], dtype=np.float32)


def mean_by_cell(embeddings: EmbeddingArray, records: WinRecords) -> SingleArray:
    """Return the mean embedding of each cell, prompts weighted by their wins in it.

    Returns:
        Shape (n_tiers, n_tiers, dimension); zero for cells without wins.
    """
    kinds = np.repeat(
        np.arange(len(records.kind_starts)),
        np.diff(records.kind_starts, append=len(records.totals)),
    )
    kind_wins = records.kind_wins.reshape(len(records.kind_wins), -1)  # (n_kinds, n_cells)
    sums = np.zeros((kind_wins.shape[1], embeddings.shape[1]))
    wins = np.zeros(kind_wins.shape[1])
    for start in range(0, len(embeddings), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        shares = kind_wins[kinds[rows]] * records.totals[rows, None]
        sums += shares.T @ embeddings[rows]
        wins += shares.sum(axis=0, dtype=np.float64)
    means = sums / np.where(wins > 0, wins, 1.0)[:, None]
    return means.reshape(*records.kind_wins.shape[1:], -1).astype(np.float32)
