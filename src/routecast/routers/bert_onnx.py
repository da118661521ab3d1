"""The int8 copy of an encoder, run by onnxruntime: no torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from routecast.errors import ArtifactError, MissingExtraError
from routecast.types import FloatArray, IntArray

FEATURE: Final = "the router 'bert'"

INPUTS = ("input_ids", "attention_mask")
OUTPUT = "log_odds"

LogOdds = Callable[[IntArray, IntArray], FloatArray]
"""Called with token ids and attention mask, shape (n_rows, n_tokens); returns W h_CLS + b of each
row, shape (n_rows,)."""


def onnx_log_odds(path: Path, *, n_threads: int | None = None) -> LogOdds:
    """Load a network from an ONNX file with the inputs and the output named above.

    Args:
        path: The file.
        n_threads: Threads that one batch is spread over; None leaves it to onnxruntime.

    Raises:
        ArtifactError: If the file is no such network.
        MissingExtraError: If onnxruntime is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as faults
    except ModuleNotFoundError:
        raise MissingExtraError(FEATURE, "onnx") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leave idle cores be
    if n_threads is not None:
        options.intra_op_num_threads = n_threads
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except (faults.Fail, faults.InvalidGraph, faults.InvalidProtobuf, faults.NoSuchFile) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(f"{str(path)!r} is no ONNX model: {reason}; train again") from None
    names = tuple(sorted(one.name for one in session.get_inputs()))
    if names != tuple(sorted(INPUTS)):
        raise ArtifactError(f"{str(path)!r} reads {names!r}; accepted is {INPUTS!r}; train again")

    def log_odds(ids: IntArray, mask: IntArray) -> FloatArray:
        try:
            (values,) = session.run([OUTPUT], {"input_ids": ids, "attention_mask": mask})
        except (faults.Fail, faults.RuntimeException) as error:  # both are bare exceptions
            raise RuntimeError(str(error)) from error  # that the caller can halve a batch by
        return np.asarray(values, dtype=np.float64)

    return log_odds
