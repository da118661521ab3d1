"""Fixtures that every test may use."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from starlette.types import ASGIApp

from routecast.embed.protocol import EmbedderIdentity
from routecast.testing import serve_upstream
from routecast.types import EmbeddingArray, FloatArray

settings.register_profile(  # machines are shared and noisy
    "routecast", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("routecast")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("ROUTECAST_DATA", ""))
    if not os.environ.get("ROUTECAST_DATA") or not folder.is_dir():
        pytest.skip("ROUTECAST_DATA names no folder of shared data")
    return folder


@pytest.fixture
def served() -> Iterator[Callable[[ASGIApp], str]]:
    """Serve upstreams on threads until the test ends; return their base URLs."""
    with ExitStack() as stack:
        yield lambda upstream: stack.enter_context(_serve_on_a_thread(upstream))


@contextmanager
def _serve_on_a_thread(upstream: ASGIApp) -> Iterator[str]:
    begun: Future[tuple[str, Callable[[], object]]] = Future()

    async def serve() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        async with serve_upstream(upstream) as base_url:
            begun.set_result((base_url, lambda: loop.call_soon_threadsafe(ended.set)))
            await ended.wait()

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(lambda: asyncio.run(serve()))
        base_url, end = begun.result(timeout=10)
        try:
            yield base_url
        finally:
            end()
        running.result(timeout=10)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the gateway does."""
    return "asyncio"


class WordEmbedder:
    """A tiny embedder: each word is a random direction, a text the unit sum of its words."""

    def __init__(self, dimension: int = 8, *, name: str = "words", revision: str = "1") -> None:
        digest = blake2b(f"{name}{revision}{dimension}".encode()).hexdigest()[:64]
        self.identity = EmbedderIdentity(
            name=name, revision=revision, dimension=dimension, digest=digest
        )

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        rows = [self._embed_one(text) for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), self.identity.dimension)

    def _embed_one(self, text: str) -> FloatArray:
        vector = np.full(self.identity.dimension, 1e-3)
        for word in text.split():
            seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
            vector += np.random.default_rng(seed).normal(size=self.identity.dimension)
        return vector / float(np.linalg.norm(vector))


@pytest.fixture(scope="session")
def word_embedder() -> WordEmbedder:
    """An embedder of 8 dimensions that needs no file."""
    return WordEmbedder()


@pytest.fixture(scope="session")
def other_embedder() -> WordEmbedder:
    """The same, in another revision."""
    return WordEmbedder(revision="2")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random BERT of 20,000 weights whose words are those of planted prompts."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = "prove name number of in words rice music planets rivers gardens trains poems maps"
    pieces = [*"0123456789", *(f"##{digit}" for digit in "0123456789")]
    vocabulary = {word: place for place, word in enumerate([*special, *words.split(), *pieces])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertModel(config)
    folder = tmp_path_factory.mktemp("encoder")
    model.save_pretrained(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def make_causal_lm(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Save a random causal LM of 20,000 weights with a byte-level tokenizer, as a folder."""
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    from routecast.embed.quiet_loading import quiet_loading

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["prove number of rice", "name number of maps"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    n_tokens = tokenizer.get_vocab_size()
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    shapes = {
        "llama": ("Llama", {**small, "num_key_value_heads": 2, "intermediate_size": 64}),
        "gpt2": ("GPT2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024}),
        "gemma2": (
            "Gemma2",
            {
                **small, "num_key_value_heads": 2, "intermediate_size": 64, "head_dim": 8,
                "sliding_window": 16, "final_logit_softcapping": 5.0,
            },
        ),
    }  # fmt: skip
    made: dict[tuple[str, bool, int], Path] = {}

    def make(kind: str = "llama", *, tied: bool = True, n_spare: int = 0) -> Path:
        key = (kind, tied, n_spare)
        if key in made:
            return made[key]
        name, shape = shapes[kind]
        own: Any = shape
        config = getattr(transformers, f"{name}Config")(
            vocab_size=n_tokens + n_spare, max_position_embeddings=1024, tie_word_embeddings=tied,
            bos_token_id=0, eos_token_id=1, pad_token_id=1, **own,
        )  # fmt: skip
        folder = tmp_path_factory.mktemp(kind)
        with torch.random.fork_rng(), quiet_loading():
            torch.manual_seed(0)
            class_name = "GPT2LMHeadModel" if kind == "gpt2" else f"{name}ForCausalLM"
            model = getattr(transformers, class_name)(config)
            for weight in model.parameters():  # the start of transformers is too near to nothing
                torch.nn.init.normal_(weight, std=0.1) if weight.dim() > 1 else None
            model.save_pretrained(folder)
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
        ).save_pretrained(folder)
        made[key] = folder
        return folder

    return make
