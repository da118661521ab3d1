import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.routers.blend import Blend, BoundBlend
from routecast.routers.blend_kernel import describe
from routecast.routers.protocol import ScoresOne
from routecast.train.blend import Labels, fit_blend

ODD = (
    *(
        "",
        "   ",
        "\n\n",
        "?!",
        "\U0001f600\U0001f680",
        "\ud800",
        "a\ud83d\ude00 b \udfff what is this",
    ),
    *("x", "\x00\x01", "what\tis\r\nthis? " * 50, "1 2 3 4" * 2_000, "\u6f22\u5b57 " * 3_000),
    *(
        "word " * 200_000,
        "!" * 1_000_000,
        "\u0663\u00a0\u0664 \u2028 \u3000x",
        "$$ ``` def f(): ```",
    ),
)
LABELLED = [
    f"{verb} the {noun} of {place}{mark}"
    for verb in ("what is", "name", "Prove that")
    for noun in ("size", "colour", "KING")
    for place in ("France", "x^2 + 3", "a good tea\n")
    for mark in ("?", ".", "")
]


def learned(prompts: list[str], embedder: Embedder) -> BoundBlend:
    generator = np.random.default_rng(0)
    labels = Labels(
        gaps=generator.choice([-1.0, 0.0, 0.5, 1.0], len(prompts)),
        weights=np.ones(len(prompts)),
        groups=np.arange(len(prompts)),
    )
    model = fit_blend(describe(prompts, embedder.embed(prompts)), labels).model
    return model.bind(strong=["big"], weak=["small"], embedder=embedder)


@pytest.fixture(scope="module")
def static() -> Embedder:
    return load_embedder("static")


@pytest.fixture(scope="module")
def bound(static: Embedder) -> BoundBlend:
    return learned(LABELLED, static)


def differences(bound: BoundBlend, prompts: list[str]) -> tuple[float, float]:
    """The largest differences, of gap and of familiarity, between one by one and all at once."""
    embeddings = bound.embedder.embed(prompts)
    gaps, familiarity = bound.blend.predict(bound.blend.views(prompts, embeddings))
    alone = [bound.blend.predict_one(*one) for one in zip(prompts, embeddings, strict=True)]
    apart = np.abs(np.array(alone) - np.stack([gaps, familiarity], axis=1)).max(axis=0)
    return float(apart[0]), float(apart[1])


@given(st.lists(st.one_of(st.text(max_size=90), st.sampled_from(LABELLED)), min_size=1, max_size=4))
def test_one_prompt_scores_as_it_does_among_others(bound: BoundBlend, prompts: list[str]) -> None:
    assert max(differences(bound, prompts)) < 1e-5


def test_odd_prompts_score_alone_as_they_do_among_others(bound: BoundBlend) -> None:
    assert max(differences(bound, list(ODD))) < 1e-5
    together = bound.win_probabilities(ODD)
    for prompt, expected in zip(ODD, together, strict=True):
        assert bound.win_probability(prompt) == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_a_list_of_one_is_scored_as_one(bound: BoundBlend, static: Embedder) -> None:
    assert isinstance(bound, ScoresOne)
    prompt = LABELLED[0]
    assert bound.win_probabilities([prompt]).tolist() == [bound.win_probability(prompt)]
    assert bound.win_probabilities([""]).tolist() == pytest.approx([np.nan], nan_ok=True)
    expected = bound.win_probabilities_from([prompt], static.embed([prompt]))
    assert bound.win_probability(prompt) == pytest.approx(expected[0], abs=1e-6)


def test_an_embedder_of_lists_alone_will_do(word_embedder: Embedder) -> None:
    bound = learned(LABELLED, word_embedder)
    found = bound.win_probabilities([LABELLED[0], LABELLED[5]])
    assert bound.win_probability(LABELLED[0]) == pytest.approx(found[0], abs=1e-5)


def test_a_router_of_a_single_centre_scores(static: Embedder) -> None:
    bound = learned(LABELLED, static)
    tensors = bound.blend.tensors()
    n_words, n_shapes = tensors["word_ends"][1], tensors["shape_ends"][1]
    for kind, n_terms in (("word", n_words), ("shape", n_shapes)):
        tensors[f"{kind}_ends"] = tensors[f"{kind}_ends"][:2]
        tensors[f"{kind}_slots"] = tensors[f"{kind}_slots"][:n_terms]
        tensors[f"{kind}_values"] = tensors[f"{kind}_values"][:n_terms]
    one = {name: tensors[name][:1] for name in ("embeddings", "surfaces", "coefficients")}
    kept = {name: value for name, value in tensors.items() if not name.startswith("spread")}
    small = Blend.from_tensors({**kept, **one}).bind(strong=["a"], weak=["b"], embedder=static)
    assert max(differences(small, [LABELLED[0], "another", ""])) < 1e-5
    assert small.blend.predict_one(LABELLED[0], static.embed(LABELLED[:1])[0])[1] == pytest.approx(
        1.0, abs=1e-5
    )


def test_real_prompts_score_alone_as_they_do_among_others(
    shared_data: Path, static: Embedder
) -> None:
    home = shared_data / "benchmarks" / "routellm"
    mmlu = list(find_reader("routellm-eval")(home / "mmlu", decontaminate=False).table.prompts)
    lines = (home / "gsm8k" / "train.jsonl").read_text().splitlines()
    bound = learned(mmlu[::20], static)
    asked = [*mmlu[7::40], *(json.loads(line)["question"] for line in lines[::40])]
    assert max(differences(bound, asked)) < 1e-6
    found = bound.win_probabilities(asked)
    alone = np.array([bound.win_probability(prompt) for prompt in asked])
    assert alone == pytest.approx(found, abs=1e-6, nan_ok=True)
