"""Make a small causal LM with the architecture of Llama, from scratch, on a CPU.

    python runs/pretrain_tiny_llama.py --data DIR --output FOLDER

A byte-level BPE tokenizer is trained on the prompts of the shared data, then the model learns to
predict their next token. No question of a benchmark is among them, and no label is looked at. It
is no model to serve: it stands in, where no pretrained causal LM can be had, for the base model of
`runs/train_causal.py`. About 10 minutes on 2 cores.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from routecast.data.leakage import prompt_hashes64
from routecast.data.readers.registry import find_reader
from routecast.types import IntArray

SEED = 20261121
N_TOKENS = 4096
LENGTH = 128
BATCH = 8
PEAK_RATE = 2e-3
START, END = "<s>", "</s>"
FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")


def main() -> None:
    """Read prompts, train tokenizer and model, save both."""
    arguments = _arguments()
    torch.manual_seed(SEED)
    texts = list(read_prompts(arguments.data))
    tokenizer = train_tokenizer(texts)
    ids = pack(tokenizer, texts)
    model = LlamaForCausalLM(architecture())
    print(
        f"{len(texts):,} prompts, {ids.size:,} tokens, "
        f"{sum(one.numel() for one in model.parameters()):,} parameters",
        flush=True,
    )
    loss = pretrain(model, ids, n_steps=arguments.n_steps)
    print(f"last losses: {loss:.3f} nats per token", flush=True)
    model.save_pretrained(arguments.output)
    wrapper: Any = PreTrainedTokenizerFast
    whole = wrapper(tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=END)
    whole.save_pretrained(arguments.output)


def read_prompts(folder: Path) -> Iterator[str]:
    """Yield different prompts, none of them a benchmark's question."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks" / "routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    questions = [p for home in homes for p in read(home, decontaminate=False).table.prompts]
    seen = set(prompt_hashes64(questions).tolist())
    train = folder / "train"
    sources: list[Sequence[str]] = [
        pl.read_parquet(train / "arena_topic_prompts.parquet")["prompt"].to_list(),
        pl.read_ndjson(folder / "benchmarks/routellm/gsm8k/train.jsonl")["question"].to_list(),
        find_reader("matrix")(train / "mmlu_pro_34models.parquet").table.prompts,
        *(
            _unflagged(train / f"{name}.parquet")["query"].to_list()
            for name in ("llmrouter_uiuc_train", "routerdc_7models", "zeroeval_matrix")
        ),
    ]
    for texts in sources:
        for text, mark in zip(texts, prompt_hashes64(texts).tolist(), strict=True):
            if mark not in seen and text.strip():
                seen.add(mark)
                yield text[:4000]


def _unflagged(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path).filter(~pl.any_horizontal(*FLAGS))


def train_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """Learn a byte-level BPE; every text begins with the start token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=N_TOKENS,
        special_tokens=[START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", special_tokens=[(START, tokenizer.token_to_id(START))]
    )
    return tokenizer


def pack(tokenizer: Tokenizer, texts: Sequence[str]) -> IntArray:
    """Return all texts in random order, one after the other, in rows of equal length."""
    order = np.random.default_rng(SEED).permutation(len(texts))
    encoded = tokenizer.encode_batch([texts[row] for row in order.tolist()])
    flat = np.concatenate([np.array(one.ids, dtype=np.int64) for one in encoded])
    n_rows = len(flat) // LENGTH
    packed: IntArray = flat[: n_rows * LENGTH].reshape(n_rows, LENGTH)
    return packed


def architecture() -> LlamaConfig:
    """Return the shape of the model: 2.6 million parameters, embeddings tied."""
    return LlamaConfig(
        vocab_size=N_TOKENS,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def pretrain(model: Any, ids: IntArray, *, n_steps: int) -> float:  # noqa: ANN401 (torch's)
    """Predict the next token; return the mean loss of the last 50 steps, in nats."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=n_steps, pct_start=0.1
    )
    generator = np.random.default_rng(SEED)
    losses: list[float] = []
    start_s = time.perf_counter()
    for step in range(n_steps):
        rows = torch.from_numpy(ids[generator.integers(len(ids), size=BATCH)])
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        if step % 50 == 49:
            elapsed_s = time.perf_counter() - start_s
            print(f"step {step + 1}: {np.mean(losses[-50:]):.3f}, {elapsed_s:.0f} s", flush=True)
    return float(np.mean(losses[-50:]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--n-steps", type=int, default=800)
    return parser.parse_args()


if __name__ == "__main__":
    main()
