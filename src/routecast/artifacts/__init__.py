"""A trained router on disk: ``manifest.json``, ``weights.safetensors`` and maybe ``model/``.

The manifest pins everything that decides a score: the embedder by name, dimension and digest, the
models that stand for strong and weak, the calibration, and the SHA-256 of every file. The routers
that are neural networks keep theirs as a Hugging Face folder ``model/``. Nothing is ever unpickled,
and no prompt's text is stored: training prompts are kept as 64-bit hashes.
"""

from routecast.artifacts.artifact import Artifact
from routecast.artifacts.layout import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    MAX_REFERENCES,
    MODEL_NAME,
    N_QUANTILES,
    WEIGHTS_NAME,
)
from routecast.artifacts.loaded import LoadedRouter, load_router, router_folder
from routecast.artifacts.loading import load_artifact
from routecast.artifacts.records import (
    AbstainedRecord,
    CalibrationRecord,
    FileRecord,
    IsotonicRecord,
    Manifest,
    MetricRecord,
    OutcomesRecord,
    PlattRecord,
    Source,
    TrainingRecord,
    record_map,
)
from routecast.artifacts.saving import save_artifact

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "MAX_REFERENCES",
    "MODEL_NAME",
    "N_QUANTILES",
    "WEIGHTS_NAME",
    "AbstainedRecord",
    "Artifact",
    "CalibrationRecord",
    "FileRecord",
    "IsotonicRecord",
    "LoadedRouter",
    "Manifest",
    "MetricRecord",
    "OutcomesRecord",
    "PlattRecord",
    "Source",
    "TrainingRecord",
    "load_artifact",
    "load_router",
    "record_map",
    "router_folder",
    "save_artifact",
]
