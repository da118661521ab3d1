"""Fine-tuned encoders from end to end, on a random encoder of 20,000 weights."""

import logging
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.artifacts import load_artifact, load_router, save_artifact
from routecast.data.outcomes import Outcomes
from routecast.embed.registry import load_embedder
from routecast.errors import ArtifactError, ConfigError
from routecast.routers.bert import INT8_NAME, load_classifier
from routecast.train import bert_int8
from routecast.train.bert_family import LEARNING_RATES, BertSettings
from routecast.train.bert_tuning import (
    check_length,
    merge_tuned,
    prepare_tuning,
    row_losses,
)
from routecast.train.hugging_face import seeded
from routecast.train.pipeline import TrainedRouter, TrainSettings, train_router
from routecast.train.progress import Progress
from routecast.train.run import TrainRequest, checkpoint_folder, run_training
from routecast.train.sources import set_of_outcomes

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.slow

QUICK = {"length": 24, "n_steps": 60, "batch": 8, "eval_steps": 20, "learning_rate": 3e-3}
Train = Callable[..., TrainedRouter]


@pytest.fixture
def train(tiny_encoder: Path, planted_outcomes: Callable[..., Outcomes]) -> Train:
    def run(**options: Any) -> TrainedRouter:  # noqa: ANN401
        settings = TrainSettings(
            router="bert",
            strong=("big",),
            weak=("small",),
            options={"base": str(tiny_encoder), **QUICK, **options},
        )
        labels = set_of_outcomes(planted_outcomes(200), models=["big", "small"])
        return train_router([labels], settings, embedder=load_embedder("static"), device="cpu")

    return run


def test_a_trained_encoder_is_saved_whole_and_scores_the_same_when_loaded(
    train: Train, tmp_path: Path
) -> None:
    trained = train()
    manifest = save_artifact(trained.artifact, tmp_path / "router")
    assert sorted(manifest.files) == [
        "model/config.json", "model/model.safetensors", "model/tokenizer.json",
        "weights.safetensors",
    ]  # fmt: skip
    prompts = trained.prepared.prompts[:40]
    before = trained.artifact.router(load_embedder("static")).win_probabilities(prompts)
    loaded = load_router(str(tmp_path / "router"), device="cpu")
    np.testing.assert_allclose(loaded.router.win_probabilities(prompts), before, atol=1e-6)
    assert loaded.count_cut(["prove", "prove number of rice " * 20]) == 1


def test_the_manifest_says_what_was_learned_from_and_how(train: Train) -> None:
    settings = train().artifact.manifest.settings
    assert settings["learning_rate"] == 3e-3
    assert settings["length"] == 24
    assert settings["best_step"] in (20, 40, 60)
    balance = settings["label_balance"]
    # Big is right on 9 of 10 prompts; small on .2 of the hard half and .85 of the others: strong
    # wins .5 x .9 x (.8 + .15) = .43 of the prompts, weak .5 x .1 x (.2 + .85) = .05.
    assert balance["strong"] == pytest.approx(0.43, abs=0.1)
    assert balance["weak"] == pytest.approx(0.05, abs=0.05)
    assert sum(balance.values()) == pytest.approx(1.0)


def test_more_steps_find_the_planted_word(train: Train) -> None:
    trained = train(n_steps=200, eval_steps=50, warmup=0.0)
    router = trained.artifact.router(load_embedder("static"), device="cpu")
    hard, easy = (
        router.win_probabilities([f"{verb} number {n} of maps in 3 words" for n in range(20)])
        for verb in ("prove", "name")
    )
    assert hard.mean() > easy.mean() + 0.1


def test_an_interrupted_run_leaves_a_checkpoint_and_no_router_and_goes_on_exactly(
    tiny_encoder: Path, outcomes_file: Path, tmp_path: Path
) -> None:
    request = TrainRequest(
        settings=TrainSettings(
            router="bert",
            strong=("big",),
            weak=("small",),
            options={"base": str(tiny_encoder), **QUICK, "n_steps": 12, "eval_steps": 4},
        ),
        output=tmp_path / "router",
        outcomes=(str(outcomes_file),),
        device="cpu",
    )
    whole = run_training(replace(request, output=tmp_path / "whole"))

    def stop(progress: Progress) -> None:
        if progress.stage == "fitting" and progress.n_done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(request, watch=stop)
    assert not request.output.exists()
    assert [path.name for path in checkpoint_folder(request.output).glob("*/checkpoint-*")] == [
        "checkpoint-4"
    ]
    resumed = run_training(replace(request, resume=True))
    name = "model/model.safetensors"
    assert resumed.manifest.files[name].sha256 == whole.manifest.files[name].sha256
    assert not checkpoint_folder(request.output).exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["router", "whole"]


def test_head_only_leaves_the_encoder_as_it_was(train: Train, tiny_encoder: Path) -> None:
    from safetensors.numpy import load_file

    folder = train(tune="head", n_steps=10, eval_steps=5).artifact.model_folder
    assert folder is not None
    tuned, before = (
        load_file(place / "model.safetensors") for place in (folder.path, tiny_encoder)
    )
    for name, weights in before.items():
        np.testing.assert_array_equal(tuned[f"bert.{name}"], weights)
    assert np.abs(tuned["classifier.weight"]).max() > 0


def test_merged_low_rank_changes_score_as_unmerged_ones(tiny_encoder: Path) -> None:
    ids = torch.arange(2, 22).reshape(2, 10)
    with seeded(0):
        model = prepare_tuning(load_classifier(tiny_encoder), tune="lora", lora_rank=4)
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zeros at first, so that nothing is changed
                torch.nn.init.normal_(weight)
    model.eval()
    with torch.no_grad():
        before = model(input_ids=ids).logits
        merged = merge_tuned(model)
        torch.testing.assert_close(merged(input_ids=ids).logits, before, atol=1e-5, rtol=0)
    assert not any("lora" in name for name in merged.state_dict())


def distilbert(folder: Path) -> None:
    """Write an encoder whose head has two layers, one's name the end of the other's."""
    transformers = pytest.importorskip("transformers")
    config = transformers.DistilBertConfig(
        vocab_size=50, dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=32
    )
    transformers.DistilBertModel(config).save_pretrained(str(folder))


@pytest.mark.parametrize("tune", ["head", "lora"])
def test_a_head_of_two_layers_is_trained_whole(tmp_path: Path, tune: str) -> None:
    distilbert(tmp_path)
    model = prepare_tuning(load_classifier(tmp_path), tune=tune, lora_rank=2)
    batch = {
        "input_ids": torch.arange(6).reshape(2, 3),
        "attention_mask": torch.ones(2, 3, dtype=torch.long),
        "targets": torch.tensor([0.5, 1.0]),
    }
    losses: Any = row_losses(model, batch)
    losses.sum().backward()
    trained = {name for name, weight in model.named_parameters() if weight.grad is not None}
    heads = [name for name in trained if "classifier" in name]
    assert len(heads) == 4  # weight and bias of each layer
    assert all("lora" in name for name in trained - set(heads))
    merged = merge_tuned(model)
    assert sorted(merged.state_dict()) == sorted(load_classifier(tmp_path).state_dict())


def test_low_rank_changes_are_saved_as_a_plain_model(train: Train, tmp_path: Path) -> None:
    trained = train(tune="lora", n_steps=10, eval_steps=5)
    manifest = save_artifact(trained.artifact, tmp_path / "router")
    assert "model/adapter_config.json" not in manifest.files
    prompts = trained.prepared.prompts[:10]
    loaded = load_router(str(tmp_path / "router"), device="cpu").router
    expected = trained.artifact.router(load_embedder("static")).win_probabilities(prompts)
    np.testing.assert_allclose(loaded.win_probabilities(prompts), expected, atol=1e-6)


@pytest.mark.skipif(
    find_spec("onnx") is None or find_spec("onnxruntime") is None, reason="onnx is not installed"
)
def test_the_int8_copy_is_checked_and_its_differences_are_in_the_manifest(
    train: Train, tmp_path: Path
) -> None:
    trained = train(int8=True, n_steps=10, eval_steps=5)
    manifest = save_artifact(trained.artifact, tmp_path / "router")
    check = manifest.settings["int8_check"]
    assert check["n_prompts"] == manifest.training.n_prompts  # fewer than 1,000
    assert 0 < check["mean_difference"] <= check["largest_difference"] < 0.02
    assert check["is_used"]
    assert f"model/{INT8_NAME}" in manifest.files
    prompts = trained.prepared.prompts[:10]
    loaded = load_router(str(tmp_path / "router")).router
    expected = trained.artifact.router(load_embedder("static")).win_probabilities(prompts)
    assert loaded.win_probabilities(prompts).tolist() == expected.tolist()


@pytest.mark.skipif(
    find_spec("onnx") is None or find_spec("onnxruntime") is None, reason="onnx is not installed"
)
def test_an_int8_copy_that_differs_too_much_is_left_out_and_said(
    train: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bert_int8, "MAX_MEAN_DIFFERENCE", 1e-12)
    with caplog.at_level(logging.WARNING):
        artifact = train(int8=True, n_steps=10, eval_steps=5).artifact
    assert artifact.model_folder is not None
    assert not (artifact.model_folder.path / INT8_NAME).exists()
    assert artifact.manifest.settings["int8_check"]["is_used"] is False
    assert "it is left out" in caplog.text


def test_a_length_beyond_the_encoders_positions_is_refused(train: Train) -> None:
    with pytest.raises(ConfigError, match=r"more than the 64 tokens .*--set length=64"):
        train(length=65)


def test_roberta_has_fewer_positions_than_it_says(tmp_path: Path) -> None:
    # It numbers them from the padding's id + 1: 514 - 2 = 512.
    (tmp_path / "config.json").write_text(
        '{"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}'
    )
    check_length(tmp_path, 512)
    with pytest.raises(ConfigError, match="the 512 tokens"):
        check_length(tmp_path, 513)


def test_a_base_that_is_no_encoder_is_refused(train: Train, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"holds no config\.json"):
        train(base=str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tune": "all"}, r"tune 'all'; choose one of \['full', 'head', 'lora'\]"),
        ({"base": " "}, "base is empty"),
        ({"length": 4}, "length 4 is too short"),
        ({"lora_rank": 0}, "lora_rank 0 must be 1 or more"),
        ({"batch": 0}, "batch 0 must be 1 or more"),
    ],
)
def test_settings_that_make_no_fit_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BertSettings(**change)


def test_the_defaults_are_the_papers() -> None:
    # Ong et al. (2024), section 4.2: BERT-base, full, about 2,000 steps, batch 16, length 512,
    # learning rate 1e-5, weight decay .01.
    settings = BertSettings()
    assert (settings.base, settings.tune) == ("google-bert/bert-base-uncased", "full")
    assert (settings.n_steps, settings.batch, settings.length) == (2000, 16, 512)
    assert settings.fine_tuning().learning_rate == 1e-5
    assert settings.weight_decay == 0.01


@pytest.mark.parametrize("tune", LEARNING_RATES)
def test_each_way_to_tune_has_a_learning_rate(tune: str) -> None:
    assert BertSettings(tune=tune).fine_tuning().learning_rate == LEARNING_RATES[tune]


def test_a_calibrated_copy_keeps_its_model(train: Train, tmp_path: Path) -> None:
    from routecast.calibrate.run import calibrate_router
    from routecast.calibrate.sample import Sample
    from routecast.policy.goals import Goal

    trained = train(n_steps=10, eval_steps=5)
    save_artifact(trained.artifact, tmp_path / "router")
    prompts = [f"name number {n} of maps" for n in range(120)]
    calibrate_router(
        load_router(str(tmp_path / "router"), device="cpu"),
        Sample(name="traffic", prompts=prompts),
        Goal("strong_share", 0.5),
        output=tmp_path / "copy",
    )
    first, copy = (load_artifact(tmp_path / name).manifest.files for name in ("router", "copy"))
    assert first["model/model.safetensors"] == copy["model/model.safetensors"]
