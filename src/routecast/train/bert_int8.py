"""An int8 copy of an encoder for onnxruntime, checked against torch on real prompts."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from routecast.errors import MissingExtraError
from routecast.routers.bert import (
    INT8_NAME,
    BertRouter,
    load_classifier,
    model_log_odds,
)
from routecast.routers.bert_onnx import FEATURE, INPUTS, OUTPUT, onnx_log_odds
from routecast.routers.token_windows import open_token_windows

log = logging.getLogger(__name__)

N_CHECKED: Final = 1000
MAX_MEAN_DIFFERENCE: Final = 0.02
"""Of the win probability, between int8 and torch; above it the copy is not used."""


def add_int8(folder: Path, prompts: Sequence[str], *, length: int, seed: int) -> dict[str, Any]:
    """Write ``model.int8.onnx`` into a model's folder, unless it differs too much from torch.

    Weights become 8-bit integers, activations are scaled batch by batch (dynamic quantisation).

    Args:
        folder: Holds the encoder as `save_classifier` wrote it.
        prompts: To compare on; at most 1,000 of them are drawn.
        length: Tokens that are read of a prompt.
        seed: Of the draw.

    Returns:
        For the manifest: ``n_prompts``, ``mean_difference`` and ``largest_difference`` of the
        uncalibrated win probability, and ``is_used``. A copy whose mean difference is above 0.02 is
        removed, and a warning logged.

    Raises:
        MissingExtraError: If onnx or onnxruntime is not installed.
    """
    model = load_classifier(folder).eval()
    path = folder / INT8_NAME
    write_int8(model, path)
    drawn = np.random.default_rng(seed).permutation(len(prompts))[:N_CHECKED]
    checked = [prompts[row] for row in np.sort(drawn).tolist()]
    windows = open_token_windows(folder, max_tokens=length)
    pad_id = model.config.pad_token_id or 0
    int8, exact = (
        BertRouter(windows, log_odds, pad_id).win_probabilities(checked)
        for log_odds in (onnx_log_odds(path), model_log_odds(model, device="cpu"))
    )
    difference = np.abs(int8 - exact)
    check = {
        "n_prompts": len(checked),
        "mean_difference": float(difference.mean()),
        "largest_difference": float(difference.max()),
        "is_used": bool(difference.mean() <= MAX_MEAN_DIFFERENCE),
    }
    if not check["is_used"]:
        path.unlink()
        log.warning(
            "the int8 copy differs from torch by %.3f on average, above %.2f; it is left out",
            check["mean_difference"],
            MAX_MEAN_DIFFERENCE,
        )
    return check


def write_int8(model: Any, path: Path) -> None:  # noqa: ANN401 (a PreTrainedModel)
    """Export a network with one output to ONNX and quantise it.

    Raises:
        MissingExtraError: If onnx or onnxruntime is not installed.
    """
    try:
        import onnx  # noqa: F401 (both need it, and say so less clearly)
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ModuleNotFoundError:
        raise MissingExtraError(f"int8 of {FEATURE}", "onnx") from None
    whole = path.with_suffix(".float.onnx")
    try:
        _export(model, whole)
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises on the root logger
        try:
            quantize_dynamic(str(whole), str(path), weight_type=QuantType.QInt8)
        finally:
            root.setLevel(level)
    finally:
        whole.unlink(missing_ok=True)


def _export(model: Any, path: Path) -> None:  # noqa: ANN401 (torch's)
    import torch

    class Scored(torch.nn.Module):
        """The network with its one output as shape (n_rows,)."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:  # noqa: ANN401 (torch's)
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits[:, 0]

    n_ids = model.config.vocab_size
    ids = torch.arange(2 * 16).reshape(2, 16) % n_ids
    axes = {name: {0: "n_rows", 1: "n_tokens"} for name in INPUTS} | {OUTPUT: {0: "n_rows"}}
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")  # the others branch on values while they are traced
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tracing; the check against torch says more
            torch.onnx.export(
                Scored().eval(),
                (ids, torch.ones_like(ids)),
                str(path),
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_axes=axes,
                opset_version=17,
                dynamo=False,  # the new exporter needs onnxscript
            )
    finally:
        model.set_attn_implementation(implementation)
