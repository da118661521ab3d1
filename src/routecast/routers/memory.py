"""When a batch does not fit into memory: halve it, say so, go on."""

import gc
import logging
import sys
from collections.abc import Callable, Sequence

from routecast.errors import ConfigError
from routecast.types import FloatArray, IntArray

log = logging.getLogger(__name__)

_SIGNS = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # torch on the CPU
    "not enough memory",  # torch on the CPU of Windows
    "failed to allocate memory",  # onnxruntime
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of numpy, torch or onnxruntime says that memory ran out.

    They have no error class in common, so the message decides.
    """
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _SIGNS)


def free_memory() -> None:
    """Give back what failed attempts hold: unreachable tensors, and torch's cache on a GPU."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def smaller_batch(n_rows: int, *, what: str) -> int:
    """Return half of a batch that did not fit into memory, and say so in the log.

    Args:
        n_rows: Rows of the batch that failed.
        what: What was being done, for the messages: ``scoring``.

    Raises:
        ConfigError: If it was one row alone, so that nothing smaller can be tried.
    """
    if n_rows <= 1:
        raise ConfigError(
            f"{what} one prompt alone does not fit into memory; set a smaller length, or use "
            "another device with --device"
        )
    log.warning("out of memory %s %d rows at once; going on with %d", what, n_rows, n_rows // 2)
    free_memory()
    return n_rows // 2


def run_smaller(
    batches: Sequence[IntArray], run: Callable[[IntArray], FloatArray], *, what: str = "scoring"
) -> list[tuple[IntArray, FloatArray]]:
    """Run batch after batch; where one does not fit into memory, run it and the rest in halves.

    Args:
        batches: Positions of rows.
        run: Called with a batch or a part of one.
        what: For the messages.

    Returns:
        What was run, and what it gave, in order.

    Raises:
        ConfigError: If one row alone does not fit.
    """
    parts: list[tuple[IntArray, FloatArray]] = []
    n_pieces = 1
    for batch in batches:
        start = 0
        while start < len(batch):
            n_rows = max(1, -(-len(batch) // n_pieces))
            rows = batch[start : start + n_rows]
            try:
                parts.append((rows, run(rows)))
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                start += len(rows)
                continue
            # Outside of the handler, whose traceback keeps the failed batch's tensors alive.
            n_pieces = -(-len(batch) // smaller_batch(len(rows), what=what))
    return parts
