"""A trained router's folder says nothing of the machine that it was trained on."""

import asyncio
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.artifacts import save_artifact
from routecast.data.outcomes import Outcomes
from routecast.embed.protocol import Embedder, EmbedderIdentity
from routecast.embed.registry import load_embedder
from routecast.errors import RoutecastError
from routecast.routers.families import family_names
from routecast.testing import FakeFirstTokens, serve_upstream
from routecast.train.pipeline import TrainSettings, train_router
from routecast.train.registry import find_family
from routecast.train.sources import set_of_outcomes

KEY_NAME = "A_VARIABLE_OF_MINE"
SMALL_MF = {"n_factors": 4, "max_steps": 2, "weight_decay": 1e-4}
FEW = {"length": 32, "n_steps": 2, "batch": 4, "eval_steps": 2}


class EmbedderInAFolder:
    """The static embedder as if it were a sentence-transformers model in a folder."""

    def __init__(self, where: Path) -> None:
        self._embedder = load_embedder("static")
        self.identity: EmbedderIdentity = replace(
            self._embedder.identity, name=f"sentence:{where}/mini", revision=""
        )
        self.embed = self._embedder.embed


@pytest.fixture
def own_settings(
    tmp_path: Path, tiny_encoder: Path, make_causal_lm: Callable[..., Path]
) -> dict[str, dict[str, Any]]:
    """Settings that name files, addresses and variables of this machine, by family."""
    template = tmp_path / "template.txt"
    template.write_text("Q: {query}\nA:")
    return {
        "bert": {"base": str(tiny_encoder), **FEW},
        "causal": {"base": str(make_causal_lm()), "template": str(template), **FEW},
        "mf": SMALL_MF,
        "causal-endpoint": {
            "model": "m-1", "api_key": f"env:{KEY_NAME}", "template": str(template),
        },
    }  # fmt: skip


@pytest.mark.parametrize("family", family_names())
def test_no_familys_folder_names_a_path_an_address_or_a_variable(
    family: str,
    own_settings: dict[str, dict[str, Any]],
    planted_outcomes: Callable[..., Outcomes],
    tmp_path: Path,
) -> None:
    if family in ("bert", "causal"):
        pytest.importorskip("torch")
    options = own_settings.get(family, {})
    embedder: Embedder = EmbedderInAFolder(tmp_path)
    folder = tmp_path / "router"

    def train(url: str) -> None:
        given = {**options, "url": url} if family == "causal-endpoint" else options
        settings = TrainSettings(router=family, strong=("big",), weak=("small",), options=given)
        labels = set_of_outcomes(planted_outcomes(120), models=["big", "small"])
        trained = train_router(
            [labels], settings, embedder=embedder, environ={KEY_NAME: "sk-x"}, device="cpu"
        )
        save_artifact(trained.artifact, folder)

    served(train)
    texts = [path.read_text() for path in folder.rglob("*.json") if path.name != "tokenizer.json"]
    assert texts
    mine = [str(tmp_path), str(Path.home()), str(tmp_path.parents[1]), KEY_NAME, "env:", "file:",
            "http://", "https://"]  # fmt: skip
    found = [(word, text[text.index(word) - 40 :][:120]) for text in texts for word in mine
             if word in text]  # fmt: skip
    assert not found


@pytest.mark.parametrize("family", ["blend", "ridge", "mf", "sw"])
def test_arrays_that_do_not_fit_are_refused_and_never_a_traceback(
    family: str,
    planted_outcomes: Callable[..., Outcomes],
    word_embedder: Embedder,
) -> None:
    options = SMALL_MF if family == "mf" else {}
    settings = TrainSettings(router=family, strong=("big",), weak=("small",), options=options)
    labels = set_of_outcomes(planted_outcomes(120), models=["big", "small"])
    artifact = train_router([labels], settings, embedder=word_embedder).artifact
    n_refused = 0
    for name, tensor in artifact.tensors.items():
        lacking = {key: value for key, value in artifact.tensors.items() if key != name}
        wrong = (tensor.reshape(-1)[:0], np.array(1.0), tensor[:-1], tensor[..., None], tensor * 0,
                 np.full_like(tensor, 127))  # fmt: skip
        for tensors in (lacking, *({**lacking, name: one} for one in wrong)):
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                try:
                    replace(artifact, tensors=tensors).router(word_embedder)
                except RoutecastError:
                    n_refused += 1
    assert n_refused >= 3 * len(artifact.tensors)


def judge(text: str) -> Mapping[str, float]:
    sure = 0.01 * (len(text) % 7)
    return {"A": 0.5 + sure, "B": 0.2, "C": 0.3 - sure}


def served(work: Callable[[str], None]) -> None:
    async def serve() -> None:
        async with serve_upstream(FakeFirstTokens("vllm", judge)) as base_url:
            await asyncio.to_thread(work, base_url)

    asyncio.run(serve())


@pytest.mark.parametrize("family", family_names())
def test_settings_that_look_like_a_path_or_an_address_are_private(family: str) -> None:
    one = find_family(family)
    likely = {"base", "template", "url", "base_url", "api_key", "path", "folder", "file", "command"}
    assert likely & set(one.settings_names()) == set(one.private)
