"""Distil MiniLM into the token vectors that ship inside the package.

    python runs/distill_static.py --encoder all-MiniLM-L6-v2 --data ../shared/data \
        --output src/routecast/models/static --results results/static_distillation.md

1. model2vec's distillation: each token of the vocabulary through the encoder on its own, as
   `[CLS] token [SEP]`, mean-pooled, weighted by its smooth inverse frequency (SIF), a / (a + p),
   p by Zipf's law over the ids. Unlike model2vec 0.10, vocabulary and ids stay the encoder's own.
2. Where model2vec takes the principal components of the tokens, these are the components of
   pooled prompts, about the mean prompt: what all prompts share is taken out, and the 256
   dimensions are those in which prompts differ. Each is divided by a root of its spread.
3. Rows are quantised to int8, one float32 scale each.

Prompts are those of the sets that may ship, without benchmark questions; a tenth is held out and
only measured. No label is used in making them, but labels were looked at in choosing the recipe.
With `--results`, variants are measured too: how cosines follow MiniLM's, and how a ridge
regression on the vectors routes. Needs torch, transformers, and routecast with its extra `lab`;
about 1 minute, and 10 to measure. The same machine and versions give the same bytes.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import torch
from safetensors.numpy import save
from scipy.stats import spearmanr
from tokenizers import Tokenizer
from transformers import AutoModel, PreTrainedModel

from routecast.data.leakage import contained_questions, question_stem
from routecast.data.readers.registry import find_reader
from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.metrics import routing_metrics
from routecast.types import AnyArray, FloatArray, IntArray

SEED = 20261121
DIMENSION = 256
MAX_ENCODER_TOKENS = 254  # and two special ones, as MiniLM was trained
HELD_OUT = 0.1
N_TRAFFIC = 2500
N_RESAMPLES = 1000
N_DRAWS = 16
PENALTIES = tuple(10.0**power for power in range(-2, 4))
REVISION = "1"
FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
SHIPPABLE = {
    "mmlu_pro_34models": "matrix",
    "zeroeval_matrix": "matrix",
    "llmrouter_uiuc_train": "matrix",
    "pandalm_human_999": "pandalm",
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How encoded tokens become vectors.

    Attributes:
        sif_coefficient: The a of a / (a + p); None for no weights.
        measured: Let p be the mean of Zipf's law and of the share measured on prompts.
        of_prompts: Centre and principal components of pooled prompts, not of tokens.
        whitening: Components are divided by their standard deviation to this power.
    """

    sif_coefficient: float | None
    measured: bool = False
    of_prompts: bool = True
    whitening: float = 0.25


SHIPPED = Recipe(sif_coefficient=1e-3)
VARIANTS = {
    "model2vec: PCA of tokens, a = 1e-4": Recipe(
        sif_coefficient=1e-4, of_prompts=False, whitening=0
    ),
    "PCA of tokens, a = 1e-3": Recipe(sif_coefficient=1e-3, of_prompts=False, whitening=0),
    "PCA of prompts, a = 1e-3, not whitened": Recipe(sif_coefficient=1e-3, whitening=0),
    "PCA of prompts, a = 1e-3, whitening 0.5": Recipe(sif_coefficient=1e-3, whitening=0.5),
    "PCA of prompts, a = 1e-4, whitening 0.25": Recipe(sif_coefficient=1e-4),
    "the same, p half measured": Recipe(sif_coefficient=1e-4, measured=True),
    "PCA of prompts, no weights, whitening 0.25": Recipe(sif_coefficient=None),
    "PCA of prompts, a = 1e-3, whitening 0.25": SHIPPED,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """What vectors are made from.

    Attributes:
        encoded: The encoder's pooled output per token, shape (n_tokens, 384).
        empty: The same for the empty text, shape (384,).
        spoken: False for tokens that say nothing of a text, shape (n_tokens,).
        prompts: Token ids of the prompts that centre and components are taken from.
    """

    encoded: AnyArray
    empty: AnyArray
    spoken: AnyArray
    prompts: Sequence[IntArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Prompts as token ids, with the encoder's unit vectors, shape (n_prompts, 384)."""

    name: str
    ids: Sequence[IntArray]
    targets: AnyArray
    groups: Sequence[str]


@dataclass(frozen=True, kw_only=True, eq=False)
class RoutingTask:
    """Prompts as token ids, with the quality of a weak and a strong model on each."""

    name: str
    ids: Sequence[IntArray]
    weak: FloatArray
    strong: FloatArray
    n_labels: int


PREAMBLE = f"""\
# Static vectors: which recipe

    python runs/distill_static.py --encoder DIR --data DIR --output DIR --results FILE

a is the coefficient of SIF, a / (a + p), with p by Zipf's law over the ids. Whitening w divides
each component by its standard deviation to the power w. The recipe is a compromise between
routing and the cosines of Arena prompts: on MMLU-Pro's routing alone, PCA of tokens would be ahead
by .005. Labels of MMLU and GSM8K were looked at in the search too, so figures on these two with the
shipped vectors are not wholly blind.

## Cosines

Spearman correlation between the cosine of two pooled static vectors and the cosine of MiniLM's
vectors of the same two prompts (first {MAX_ENCODER_TOKENS} tokens), with the 95% interval from
{N_RESAMPLES:,} resamples of the pairs. No prompt is in two pairs of a column, and no prompt here
was used to make the vectors.
"""
ROUTING = f"""\
Ridge regression on the gap in quality, the penalty by leave-one-out error; APGR on all other
prompts. Mean of {N_DRAWS} draws of the labels and its standard error over draws, which leaves out
that the draws share their test prompts (1,000 labels leave 307 of GSM8K): read it as too small.
The pairs: gpt-4o against Mixtral-8x7B on MMLU-Pro, gpt-4-1106-preview against Mixtral-8x7B on the
others. About 40 variants were tried, of which these are listed."""


def main() -> None:
    """Distil and write the folder; measure, if asked to."""
    options = read_options()
    torch.set_num_threads(2)
    tokenizer_text = plain_tokenizer(options.encoder)
    tokenizer = Tokenizer.from_str(tokenizer_text)
    encoder = AutoModel.from_pretrained(options.encoder).eval()
    prompts, sets = shippable(options.data)
    order = np.random.default_rng(SEED).permutation(len(prompts)).tolist()
    n_held_out = round(len(prompts) * HELD_OUT)
    ids = token_ids(tokenizer, prompts)
    vocabulary = read_vocabulary(encoder, tokenizer, [ids[row] for row in order[n_held_out:]])
    vectors, nothing = make_vectors(vocabulary, SHIPPED)
    rows, scales = quantise(vectors)
    write_folder(options.output, tokenizer_text, rows, scales, nothing)
    if options.results:
        variants = {name: make_vectors(vocabulary, recipe)[0] for name, recipe in VARIANTS.items()}
        variants["the same in int8 (shipped)"] = rows * scales[:, None]
        held_out = order[:n_held_out]
        texts, groups = [prompts[row] for row in held_out], [sets[row] for row in held_out]
        name = "Held-out prompts of the sets that may ship"
        samples = [
            encode_prompts(encoder, tokenizer, name, texts, groups),
            encode_prompts(encoder, tokenizer, "Arena prompts", *arena_traffic(options.data)),
        ]
        page = results_page(variants, samples, routing_tasks(tokenizer, options.data))
        options.results.write_text(page, encoding="utf-8")


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path, required=True, help="folder of the encoder")
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--results", type=Path, help="Markdown page to write")
    return parser.parse_args()


def plain_tokenizer(encoder: Path) -> str:
    """Return the encoder's tokenizer.json without truncation, padding and special tokens."""
    settings = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8"))
    settings.update(truncation=None, padding=None, post_processor=None)
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":"))


def shippable(folder: Path) -> tuple[list[str], list[str]]:
    """Return the different prompts that may ship and are in no benchmark, and their sets."""
    questions = benchmark_questions(folder)
    stems = [question_stem(question) for question in questions]
    sets: dict[str, str] = {}
    for name, reader in SHIPPABLE.items():
        table = find_reader(reader)(folder / "train" / f"{name}.parquet").table.table
        table = table.filter(~pl.any_horizontal(*FLAGS))
        prompts = table["prompt"].unique(maintain_order=True).to_list()
        own_stems = [question_stem(prompt) for prompt in prompts]
        leaked = {*contained_questions(prompts, questions, min_chars=16).training_rows.tolist()}
        leaked |= {*contained_questions(own_stems, stems).training_rows.tolist()}
        sets |= {prompt: name for row, prompt in enumerate(prompts) if row not in leaked}
    return list(sets), list(sets.values())


def benchmark_questions(folder: Path) -> list[str]:
    """Return every question of the three benchmarks."""
    read = find_reader("routellm-eval")
    homes = [folder / "benchmarks" / "routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


def arena_traffic(folder: Path) -> tuple[list[str], list[str]]:
    """Return prompts and topics of real traffic: measured only, since it may not ship."""
    table = pl.read_parquet(folder / "train" / "arena_topic_prompts.parquet")
    table = table.unique("prompt", maintain_order=True).sample(N_TRAFFIC, seed=1, shuffle=True)
    return table["prompt"].to_list(), table["topic"].to_list()


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[IntArray]:
    """Return the ids of each text, without special tokens."""
    encodings = (tokenizer.encode(text, add_special_tokens=False) for text in texts)
    return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def encode_prompts(
    encoder: PreTrainedModel,
    tokenizer: Tokenizer,
    name: str,
    prompts: Sequence[str],
    groups: Sequence[str],
) -> Sample:
    """Run prompts through the encoder, cut to its length; those without tokens are dropped."""
    encodings = token_ids(tokenizer, prompts)
    kept = [row for row, ids in enumerate(encodings) if len(ids)]
    ids = [encodings[row][:MAX_ENCODER_TOKENS] for row in kept]
    targets = pool_batches(encoder, tokenizer, ids)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    return Sample(name=name, ids=ids, targets=targets, groups=[groups[row] for row in kept])


def read_vocabulary(
    encoder: PreTrainedModel, tokenizer: Tokenizer, prompts: Sequence[IntArray]
) -> Vocabulary:
    """Encode each token and the empty text."""
    n_tokens = tokenizer.get_vocab_size()
    texts = [np.array([token]) for token in range(n_tokens)]
    encoded = pool_batches(encoder, tokenizer, [*texts, np.array([], dtype=np.int64)])
    names = [str(tokenizer.id_to_token(token)) for token in range(n_tokens)]
    silent = [len(name) > 1 and name[0] == "[" and name[-1] == "]" for name in names]
    return Vocabulary(
        encoded=encoded[:-1], empty=encoded[-1], spoken=~np.array(silent), prompts=prompts
    )


@torch.inference_mode()  # type: ignore[untyped-decorator,unused-ignore]
def pool_batches(
    encoder: PreTrainedModel, tokenizer: Tokenizer, texts: Sequence[IntArray], *, size: int = 64
) -> AnyArray:
    """Return the mean of the last hidden states of `[CLS] text [SEP]`, shape (n_texts, 384)."""
    start, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    pooled = np.empty((len(texts), encoder.config.hidden_size))
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        ids = [torch.tensor([start, *texts[row].tolist(), end]) for row in rows]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        lengths = torch.tensor([len(row) for row in ids])
        mask = (torch.arange(padded.shape[1]) < lengths[:, None]).float()
        hidden = encoder(input_ids=padded, attention_mask=mask).last_hidden_state
        pooled[rows] = ((hidden * mask[..., None]).sum(dim=1) / lengths[:, None]).numpy()
    return pooled


def make_vectors(vocabulary: Vocabulary, recipe: Recipe) -> tuple[AnyArray, AnyArray]:
    """Return the tokens' vectors, shape (n_tokens, 256), and the empty text's unit vector.

    Tokens that say nothing (special ones, `[UNK]`, unused ones) become rows of zeros.
    """
    spoken = vocabulary.spoken[:, None]
    origin = vocabulary.encoded[vocabulary.spoken].mean(axis=0)
    tokens = (vocabulary.encoded - origin) * sif_weights(vocabulary, recipe)[:, None] * spoken
    points = tokens[vocabulary.spoken]
    if recipe.of_prompts:
        points = np.stack([tokens[ids].mean(axis=0) for ids in vocabulary.prompts if len(ids)])
    centre = points.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov(points, rowvar=False))
    basis = axes[:, ::-1][:, :DIMENSION]
    basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(DIMENSION)])
    basis = basis / spread[::-1][:DIMENSION] ** (recipe.whitening / 2)
    nothing = (vocabulary.empty - origin - centre) @ basis
    return ((tokens - centre) * spoken) @ basis, nothing / np.linalg.norm(nothing)


def sif_weights(vocabulary: Vocabulary, recipe: Recipe) -> FloatArray:
    """Return the weight of each token, shape (n_tokens,)."""
    n_tokens = len(vocabulary.encoded)
    if recipe.sif_coefficient is None:
        return np.ones(n_tokens)
    zipf = 1 / np.arange(2, n_tokens + 2)
    shares: FloatArray = zipf / zipf.sum()
    if recipe.measured:
        counts = np.bincount(np.concatenate(vocabulary.prompts), minlength=n_tokens)
        shares = (shares + counts / counts.sum()) / 2
    return recipe.sif_coefficient / (recipe.sif_coefficient + shares)


def quantise(vectors: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return int8 rows and float32 scales, so that rows * scales are about the vectors."""
    scales = np.abs(vectors).max(axis=1).astype(np.float32) / np.float32(127)
    rows = np.rint(vectors / np.where(scales > 0, scales, 1)[:, None])
    return rows.astype(np.int8), scales


def write_folder(
    folder: Path, tokenizer: str, rows: AnyArray, scales: AnyArray, nothing: AnyArray
) -> None:
    """Write tokenizer, vectors and, last, the manifest with their digests."""
    tensors = {"rows": rows, "scales": scales, "nothing": nothing.astype(np.float32)}
    files = {"tokenizer.json": tokenizer.encode(), "vectors.safetensors": save(tensors)}
    manifest = {
        "format_version": 1,
        "name": "static",
        "revision": REVISION,
        "dimension": DIMENSION,
        "n_tokens": len(rows),
        "source_model": "sentence-transformers/all-MiniLM-L6-v2",
        "licence": "Apache-2.0",
        "distillation": {
            "method": "each token alone, mean-pooled, SIF weights, PCA of pooled prompts",
            **asdict(SHIPPED),
            "prompts": sorted(SHIPPABLE),
            "quantisation": "int8, one float32 scale per row",
        },
        "files": {name: sha256(content).hexdigest() for name, content in sorted(files.items())},
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def results_page(
    variants: Mapping[str, AnyArray], samples: Sequence[Sample], tasks: Sequence[RoutingTask]
) -> str:
    """Measure each variant, and return the page."""
    lines = [*PREAMBLE.splitlines()]
    for sample in samples:
        groups = "one topic" if sample.name.startswith("Arena") else "one set"
        columns = {"any two": random_pairs(sample), f"two of {groups}": grouped_pairs(sample)}
        heads = [f"{name} (N = {len(pairs):,} pairs)" for name, pairs in columns.items()]
        lines += ["", f"### {sample.name} ({len(sample.ids):,})", ""]
        lines += [f"| vectors | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
        for name, vectors in variants.items():
            cells = [correlation(vectors, sample, pairs) for pairs in columns.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    heads = [f"{task.name} (N = {len(task.ids):,}), {task.n_labels:,} labels" for task in tasks]
    lines += ["", "## Routing, APGR", "", ROUTING]
    lines += ["", f"| vectors | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name, vectors in variants.items():
        cells = [routing_apgr(vectors, task) for task in tasks]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def random_pairs(sample: Sample) -> IntArray:
    """Return disjoint pairs of rows, shape (n_pairs, 2)."""
    n_pairs = len(sample.ids) // 2
    order = np.random.default_rng(SEED).permutation(len(sample.ids))
    return order[: 2 * n_pairs].reshape(n_pairs, 2)


def grouped_pairs(sample: Sample) -> IntArray:
    """Return disjoint pairs of rows of one group each, shape (n_pairs, 2)."""
    order = np.random.default_rng(SEED).permutation(len(sample.ids))
    waiting: dict[str, int] = {}
    pairs = []
    for row in order.tolist():
        other = waiting.pop(sample.groups[row], None)
        if other is None:
            waiting[sample.groups[row]] = row
        else:
            pairs.append((other, row))
    return np.array(pairs)


def correlation(vectors: AnyArray, sample: Sample, pairs: IntArray) -> str:
    """Return Spearman's correlation over the pairs with its 95% bootstrap interval, as text."""
    pooled = pool(vectors, sample.ids)
    own = (pooled[pairs[:, 0]] * pooled[pairs[:, 1]]).sum(axis=1)
    encoders = (sample.targets[pairs[:, 0]] * sample.targets[pairs[:, 1]]).sum(axis=1)
    generator = np.random.default_rng(SEED)
    draws = generator.integers(len(pairs), size=(N_RESAMPLES, len(pairs)))
    resampled = [spearmanr(own[rows], encoders[rows]).statistic for rows in draws]
    low, high = np.quantile(resampled, (0.025, 0.975))
    return f"{spearmanr(own, encoders).statistic:.3f} [{low:.3f}, {high:.3f}]"


def pool(vectors: AnyArray, ids: Sequence[IntArray]) -> AnyArray:
    """Return the unit vector of each text, shape (n_texts, 256)."""
    pooled: AnyArray = np.stack([vectors[row].sum(axis=0) for row in ids])
    pooled /= np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    return pooled


def routing_tasks(tokenizer: Tokenizer, folder: Path) -> list[RoutingTask]:
    """Return outcomes of a strong and a weak model on MMLU-Pro, MMLU and GSM8K."""
    table = find_reader("matrix")(folder / "train" / "mmlu_pro_34models.parquet").table
    pairs = [("MMLU-Pro", table.pair(strong="gpt-4o", weak="Mixtral-8x7B-Instruct-v0.1"))]
    home = folder / "benchmarks" / "routellm"
    pairs += [(name.upper(), load_benchmark(name, home).pair) for name in ("mmlu", "gsm8k")]
    return [
        RoutingTask(
            name=name,
            ids=token_ids(tokenizer, pair.prompts),
            weak=pair.weak_quality,
            strong=pair.strong_quality,
            n_labels=n_labels,
        )
        for name, pair in pairs
        for n_labels in (300, 1000)
    ]


def routing_apgr(vectors: AnyArray, task: RoutingTask) -> str:
    """Return the mean APGR of ridge regressions on the gap, and its standard error, as text."""
    embeddings = pool(vectors, task.ids)
    values = []
    for seed in range(N_DRAWS):
        order = np.random.default_rng(seed).permutation(len(task.ids))
        labelled, rest = order[: task.n_labels], order[task.n_labels :]
        gap = (task.strong - task.weak)[labelled]
        scores = embeddings[rest] @ fit_ridge(embeddings[labelled], gap)
        metrics = routing_metrics(
            scores, weak_quality=task.weak[rest], strong_quality=task.strong[rest]
        )
        values.append(metrics.apgr)
    return f"{np.mean(values):.3f} ± {np.std(values) / N_DRAWS**0.5:.3f}"


def fit_ridge(embeddings: AnyArray, gap: FloatArray) -> AnyArray:
    """Return ridge coefficients; the penalty has the least leave-one-out error."""
    centred, target = embeddings - embeddings.mean(axis=0), gap - gap.mean()
    strengths, axes = np.linalg.eigh(centred.T @ centred)
    rotated = centred @ axes
    projected = rotated.T @ target
    errors = []
    for penalty in PENALTIES:
        leverage = rotated**2 @ (1 / (strengths + penalty)) + 1 / len(gap)
        residual = target - rotated @ (projected / (strengths + penalty))
        errors.append(((residual / (1 - leverage)) ** 2).mean())
    penalty = PENALTIES[int(np.argmin(errors))]
    coefficients: AnyArray = axes @ (projected / (strengths + penalty))
    return coefficients


if __name__ == "__main__":
    main()
