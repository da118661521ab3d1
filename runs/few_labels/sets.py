"""Every labelled set of the shared data, as pairs of models to choose between."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from routecast.data.leakage import prompt_hashes64
from routecast.data.outcomes import Outcomes, rescale_quality
from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.routers.surface import surface_features
from routecast.types import EmbeddingArray, FloatArray, IntArray

GPT_4, MIXTRAL = "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1"
OTHERS = "the others"
"""All models that `strong` met in battles."""

LEFT_OUT = """\
MT-Bench is left out, whose 72 questions leave nothing to evaluate on beside 100 labels, and the
10,000 Arena votes, which have no prompts. PandaLM has 156 prompts with a battle of its strongest
model; what is left of them to evaluate on says little, as its intervals show."""


@dataclass(frozen=True)
class Pair:
    """One labelled set and the two models to choose between.

    Attributes:
        name: As the page calls the set.
        file: Its place in the folder of shared data, without the ending.
        strong: The better model.
        weak: The other one; `OTHERS`, or the reference that battles were fought against.
        group: Only rows of this group, or all.
        quality_range: Lowest and highest quality of the set's scale.
        reader: How the file is read; ``PREFIX|`` names the columns of qualities themselves.
    """

    name: str
    file: str
    strong: str
    weak: str
    group: str | None = None
    quality_range: tuple[float, float] = (0.0, 1.0)
    reader: str = "matrix"

    @property
    def title(self) -> str:
        """What tables call the pair."""
        strong, weak = (name.rsplit("/", 1)[-1] for name in (self.strong, self.weak))
        return f"{self.name}, {strong} / {weak}"


MMLU_PRO, ZERO_EVAL = "train/mmlu_pro_34models", "train/zeroeval_matrix"
LLM_ROUTER, ROUTER_DC = "train/llmrouter_uiuc_train", "train/routerdc_7models"
ALPACA_1, ALPACA_2 = "train/alpacaeval1_vs_davinci003", "train/alpacaeval2_vs_gpt4turbo"

PAIRS = (
    Pair("mmlu", "benchmarks/routellm/mmlu", GPT_4, MIXTRAL, reader="routellm-eval"),
    Pair("gsm8k", "benchmarks/routellm/gsm8k", GPT_4, MIXTRAL, reader="routellm-eval"),
    Pair("mmlu_pro", MMLU_PRO, "gpt-4o", "Mixtral-8x7B-Instruct-v0.1"),
    Pair("mmlu_pro", MMLU_PRO, "gpt-4o", "Meta-Llama-3.1-8B-Instruct"),
    Pair("mmlu_pro", MMLU_PRO, "Meta-Llama-3.1-70B-Instruct", "Meta-Llama-3.1-8B-Instruct"),
    Pair("crux", ZERO_EVAL, "gpt-4o-2024-08-06", "Meta-Llama-3.1-8B-Instruct", "crux"),
    Pair("crux", ZERO_EVAL, "claude-3-5-sonnet-20241022", "Qwen2.5-7B-Instruct", "crux"),
    Pair("math", ZERO_EVAL, "gpt-4o-2024-08-06", "Meta-Llama-3.1-8B-Instruct", "math-l5"),
    Pair("math", ZERO_EVAL, "claude-3-5-sonnet-20241022", "Qwen2.5-7B-Instruct", "math-l5"),
    Pair("llmrouter", LLM_ROUTER, "llama-3.1-nemotron-51b-instruct", "mistral-7b-instruct-v0.3"),
    Pair("llmrouter", LLM_ROUTER, "qwen2.5-7b-instruct", "codegemma-7b"),
    Pair("natural", "train/javidlakha_llama3_1Bvs70B", "meta-llama/Llama-3.1-70B-Instruct",
         "meta-llama/Llama-3.2-1B-Instruct", None, (1.0, 5.0)),
    Pair("routerdc", ROUTER_DC, "cognitivecomputations/dolphin-2.9-llama3-8b",
         "itpossible/Chinese-Mistral-7B-v0.1"),
    Pair("routerdc", ROUTER_DC, "meta-math/MetaMath-Mistral-7B", "mistralai/Mistral-7B-v0.1"),
    # Fixed up to here before the settings of `blend` were searched, on these among others; those
    # below were chosen, before anything was fitted to them, when they were.
    Pair("gsm8k", ZERO_EVAL, "gpt-4o-2024-08-06", "Meta-Llama-3.1-8B-Instruct", "gsm"),
    Pair("alpaca2", ALPACA_2, "gpt4_1106_preview", "Mixtral-8x7B-Instruct-v0.1",
         reader="alpacaeval"),
    Pair("alpaca2", ALPACA_2, "Mixtral-8x7B-Instruct-v0.1", "gpt-3.5-turbo-1106",
         reader="alpacaeval"),
    Pair("alpaca1", ALPACA_1, "gpt4", "vicuna-13b", reader="alpacaeval"),
    Pair("pandalm", "train/pandalm_human_999", "llama-7b", OTHERS, reader="pandalm"),
)  # fmt: skip

ARENA_HARD, M_IFEVAL = "train/arena_hard_v01_500", "train/m_ifeval"

ADDED_PAIRS = (
    Pair("arena_hard", ARENA_HARD, "claude-3-5-sonnet-20240620", "mixtral-8x22b-instruct-v0.1",
         reader="p|"),
    Pair("arena_hard", ARENA_HARD, "llama-3.1-70b-instruct", "llama-3.1-8b-instruct", reader="p|"),
    Pair("m_ifeval", M_IFEVAL, "o1-preview-2024-09-12",
         "hugging-quants/Meta-Llama-3.1-8B-Instruct-AWQ-INT4", reader="correct|"),
    Pair("m_ifeval", M_IFEVAL, "gpt-4o-2024-08-06", "mistralai/Mistral-7B-Instruct-v0.3",
         reader="correct|"),
)  # fmt: skip
"""Of sets that came later; chosen by the models' names, before anything was fitted to them."""


@dataclass(frozen=True)
class Labelled:
    """The rows of a set where both models are known.

    Attributes:
        prompts: In row order.
        weak: Quality of the weak answers on [0, 1], shape (n_prompts,).
        strong: The same of the strong answers. Of a battle of the two, the chance to win it.
    """

    prompts: list[str]
    weak: FloatArray
    strong: FloatArray


@dataclass(frozen=True)
class Sample(Labelled):
    """Rows that are read.

    Attributes:
        keys: What tells equal prompts, from 0, shape (n_prompts,).
        embeddings: Unit vectors, shape (n_prompts, dimension).
        surfaces: As in `surface_features`, shape (n_prompts, n_counts).
    """

    keys: IntArray
    embeddings: EmbeddingArray
    surfaces: FloatArray


def read_sample(pair: Pair, embedder: Embedder, folder: Path) -> Sample:
    """Read a set and keep the rows where both models are known."""
    rows = read_labelled(pair, folder)
    keys = np.unique(prompt_hashes64(rows.prompts), return_inverse=True)[1].astype(np.int64)
    embeddings, surfaces = embedder.embed(rows.prompts), surface_features(rows.prompts)
    return Sample(rows.prompts, rows.weak, rows.strong, keys, embeddings, surfaces)


def read_labelled(pair: Pair, folder: Path) -> Labelled:
    """Read what is known of both models, outcomes or battles."""
    if pair.reader.endswith("|"):
        return _of_columns(pl.read_parquet(folder / f"{pair.file}.parquet"), pair)
    is_folder = pair.reader == "routellm-eval"
    path = folder / (pair.file if is_folder else f"{pair.file}.parquet")
    read = find_reader(pair.reader)
    if pair.reader == "alpacaeval":
        return _of_references(read(path).table.table, pair)
    if pair.reader == "pandalm":
        return _of_battles(read(path).table.table, pair)
    outcomes = read(path) if is_folder else read(path, quality_range=pair.quality_range)
    return _of_outcomes(outcomes.table, pair)


def _of_columns(table: pl.DataFrame, pair: Pair) -> Labelled:
    names = {side: pair.reader + model for side, model in (("s", pair.strong), ("w", pair.weak))}
    known = table.select("prompt", **{k: pl.col(v).cast(pl.Float64) for k, v in names.items()})
    known = known.drop_nulls()
    return Labelled(known["prompt"].to_list(), known["w"].to_numpy(), known["s"].to_numpy())


def _of_outcomes(outcomes: Outcomes, pair: Pair) -> Labelled:
    scaled = rescale_quality(outcomes)
    strong, weak = scaled.quality(pair.strong), scaled.quality(pair.weak)
    known = ~np.isnan(strong - weak)
    if pair.group is not None:
        known &= np.array(outcomes.table["group"].to_list()) == pair.group
    rows = np.flatnonzero(known)
    return Labelled([outcomes.prompts[row] for row in rows.tolist()], weak[rows], strong[rows])


def _of_references(battles: pl.DataFrame, pair: Pair) -> Labelled:
    """Take a model's chance against the reference as its quality, mean over the judges.

    Against the reference itself, the two chances add up to 1.
    """
    chances = battles.group_by("prompt", "model_a", maintain_order=True).agg(
        pl.col("outcome").mean(), pl.col("model_b").first()
    )
    weak = chances.filter(pl.col("model_a") == pair.weak)
    if weak["model_b"][0] == pair.strong:
        weak = weak.with_columns(strong=1.0 - pl.col("outcome"))
    else:
        strong = chances.filter(pl.col("model_a") == pair.strong)
        strong = strong.select("prompt", strong="outcome")
        weak = weak.join(strong, on="prompt", maintain_order="left")
    return Labelled(weak["prompt"].to_list(), weak["outcome"].to_numpy(), weak["strong"].to_numpy())


def _of_battles(battles: pl.DataFrame, pair: Pair) -> Labelled:
    """Take the share of battles that a side won as its quality, a tie counting half."""
    wins = pl.concat(
        battles.filter(pl.col(side) == pair.strong).select("prompt", wins=chance)
        for side, chance in (
            ("model_a", pl.col("outcome")),
            ("model_b", 1.0 - pl.col("outcome")),
        )
    )
    mean = wins.group_by("prompt", maintain_order=True).agg(pl.col("wins").mean())
    strong = mean["wins"].to_numpy()
    return Labelled(mean["prompt"].to_list(), 1.0 - strong, strong)
