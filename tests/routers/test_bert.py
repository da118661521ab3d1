"""The scoring side of the fine-tuned encoder, on random weights."""

import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.errors import ArtifactError, ConfigError, MissingExtraError
from routecast.routers.bert import INT8_NAME, BertRouter, load_classifier, pad_rows, rebuild
from routecast.routers.bert_onnx import onnx_log_odds
from routecast.routers.model_folder import ModelFolder
from routecast.routers.stored_model import StoredModel
from routecast.train.bert_int8 import write_int8
from routecast.train.bert_tuning import save_classifier
from routecast.train.hugging_face import seeded

torch = pytest.importorskip("torch")

PROMPTS = ["prove number 12 of rice", "", "name maps", "prove " * 60, "name maps", "poems in words"]


@pytest.fixture(scope="module")
def folder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder with a head, large enough weights for scores to differ."""
    place = tmp_path_factory.mktemp("bert")
    with seeded(3):
        model = load_classifier(tiny_encoder)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() == 2:
                    weight.mul_(8.0)
            model.classifier.bias.fill_(0.3)
    save_classifier(model, place, tokenizer=tiny_encoder / "tokenizer.json")
    return place


@pytest.fixture(scope="module")
def int8_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        pytest.skip("onnx or onnxruntime is not installed")
    place = tmp_path_factory.mktemp("int8") / "model"
    copytree(folder, place)
    write_int8(load_classifier(place).eval(), place / INT8_NAME)
    return place


def router_of(folder: Path, *, length: int = 16, device: str | None = "cpu") -> BertRouter:
    return rebuild(
        StoredModel(
            settings={"length": length},
            strong=("big",),
            weak=("small",),
            model_folder=ModelFolder(folder),
            device=device,
        )
    )


def test_a_win_probability_is_the_sigmoid_of_the_heads_output(folder: Path) -> None:
    router = router_of(folder)
    expected = [one_by_hand(folder, router, prompt) for prompt in PROMPTS]
    assert router.win_probabilities(PROMPTS) == pytest.approx(expected, abs=1e-6)
    assert np.ptp(expected) > 0.05


def one_by_hand(folder: Path, router: BertRouter, prompt: str) -> float:
    """sigmoid(W h + b), h the pooled first token, in numpy from the saved tensors' last layer on.

    h = tanh(P h_CLS + p), as in BERT's own classification head.
    """
    from safetensors.numpy import load_file

    weights = load_file(folder / "model.safetensors")
    (ids,) = router.windows.windows([prompt])
    encoder: Any = load_classifier(folder).eval().bert
    with torch.no_grad():
        first = encoder(input_ids=torch.tensor([ids])).last_hidden_state[0, 0].numpy()
    pooled = np.tanh(
        weights["bert.pooler.dense.weight"] @ first + weights["bert.pooler.dense.bias"]
    )
    logit = weights["classifier.weight"][0] @ pooled + weights["classifier.bias"][0]
    return float(1 / (1 + np.exp(-logit)))


@settings(max_examples=10)
@given(st.permutations(range(len(PROMPTS))))
def test_scores_do_not_depend_on_the_company_or_the_order(folder: Path, order: list[int]) -> None:
    router = once(folder)
    alone = [float(router.win_probabilities([PROMPTS[row]])[0]) for row in order]
    together = router.win_probabilities([PROMPTS[row] for row in order])
    assert together == pytest.approx(alone, abs=1e-6)


_routers: dict[Path, BertRouter] = {}


def once(folder: Path) -> BertRouter:
    return _routers.setdefault(folder, router_of(folder))


def test_no_prompts_give_no_scores(folder: Path) -> None:
    assert once(folder).win_probabilities([]).shape == (0,)


def test_equal_prompts_are_scored_once(folder: Path) -> None:
    router, seen = once(folder), []

    def log_odds(ids: Any, mask: Any) -> Any:  # noqa: ANN401
        seen.append(len(ids))
        return router.log_odds(ids, mask)

    BertRouter(router.windows, log_odds, router.pad_id).win_probabilities(["name"] * 9 + ["maps"])
    assert seen == [2]


def test_a_batch_that_does_not_fit_is_halved(folder: Path) -> None:
    router = once(folder)

    def narrow(ids: Any, mask: Any) -> Any:  # noqa: ANN401
        if len(ids) > 2:
            raise RuntimeError("out of memory")
        return router.log_odds(ids, mask)

    scores = BertRouter(router.windows, narrow, router.pad_id).win_probabilities(PROMPTS)
    assert scores == pytest.approx(router.win_probabilities(PROMPTS), abs=1e-6)


def test_long_prompts_are_cut_in_their_middle_and_counted(folder: Path) -> None:
    router = once(folder)
    assert router.cut("prove " * 60).n_tokens == 60 - 14
    assert not router.cut("prove rice")
    filler = " ".join(["rice"] * 100)
    first, second = (f"prove number {middle} name maps" for middle in (filler, filler + " music"))
    scores = router.win_probabilities([first, first.replace("prove", "name")])
    assert scores[0] != pytest.approx(scores[1], abs=1e-4)
    tails = router.win_probabilities([first, second.removesuffix("maps") + "rivers"])
    assert tails[0] != pytest.approx(tails[1], abs=1e-4)


def test_padding_is_masked() -> None:
    ids, mask = pad_rows([[5, 6, 7], [8], []], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1], [1, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert pad_rows([], 0)[0].shape == (0, 0)


def test_strong_and_weak_must_differ(folder: Path) -> None:
    with pytest.raises(ConfigError, match="both"):
        rebuild(
            StoredModel(
                settings={"length": 16}, strong=("a",), weak=("a",),
                model_folder=ModelFolder(folder),
            )
        )  # fmt: skip


def test_a_manifest_without_length_is_refused(folder: Path) -> None:
    stored = StoredModel(strong=("a",), weak=("b",), model_folder=ModelFolder(folder))
    with pytest.raises(ArtifactError, match="name no 'length'"):
        rebuild(stored)


def test_damaged_weights_are_an_artifact_error(folder: Path, tmp_path: Path) -> None:
    copytree(folder, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="cannot load the model"):
        router_of(tmp_path / "model")


def test_int8_is_close_to_torch_and_used_on_the_cpu(int8_folder: Path, folder: Path) -> None:
    exact = router_of(folder).win_probabilities(PROMPTS)
    quick = router_of(int8_folder).win_probabilities(PROMPTS)
    assert quick == pytest.approx(exact, abs=0.03)
    assert (quick != exact).any()  # it is another network
    assert (router_of(int8_folder, device=None).win_probabilities(PROMPTS) == quick).all()


def test_int8_scores_without_torch(int8_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = router_of(int8_folder).win_probabilities(PROMPTS)
    for name in ("torch", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    assert router_of(int8_folder).win_probabilities(PROMPTS).tolist() == expected.tolist()


def test_without_torch_and_without_int8_the_pip_command_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'routecast\[torch\]'"):
        router_of(folder)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(ArtifactError, match="is no ONNX model"):
        onnx_log_odds(tmp_path / "x.onnx")


def test_without_onnxruntime_the_pip_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'routecast\[onnx\]'"):
        onnx_log_odds(tmp_path / "x.onnx")


def test_onnx_runs_out_of_memory_as_torch_does(
    int8_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException

    def exhausted(*_: object, **__: object) -> None:
        raise RuntimeException("Failed to allocate memory for requested buffer")

    router = router_of(int8_folder)
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", exhausted)
    with pytest.raises(ConfigError, match="one prompt alone does not fit"):
        router.win_probabilities(["name", "maps"])
