"""How far `sw` moves, and what a sharper weighting is worth, on real data.

    python -m runs.study_sw_gamma --data DIR [--minilm FOLDER] [--cache FOLDER]

Three sets: every pair of 33 models on MMLU-Pro as gold comparisons, AlpacaEval 2 with PandaLM, and
1,531 gold labels drawn from MMLU. Prompts are split; gamma, the number of neighbours and the
background are chosen by the loss on validation prompts, and everything is reported on test
prompts with 95% intervals. No question of a benchmark is in the first two sets. No prompt's text is
written.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from runs.neighbours import NearestNeighbours

from routecast.data.leakage import contained_questions
from routecast.data.outcomes import Outcomes
from routecast.data.preferences import PreferenceArrays, merge_preferences
from routecast.data.readers.registry import find_reader
from routecast.data.splits import split_by_prompt
from routecast.embed.cache import cached
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.benchmarks import STRONG, WEAK, load_benchmark
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.metrics import routing_metrics
from routecast.routers.length import LengthRouter
from routecast.routers.sw import SHARP_GAMMA, SimilarityWeighted, SwSettings
from routecast.stats.bootstrap import percentile_interval, resample_counts
from routecast.stats.platt import sigmoid
from routecast.train.overlap import OnOverlap, settle_overlap
from routecast.train.sides import rate_tiers
from routecast.train.sources import LabelledSet, set_of_comparisons, set_of_outcomes
from routecast.train.sw import fit_sw
from routecast.types import EmbeddingArray, FloatArray, IntArray

SEED = 20261121
N_GOLD = 1531
N_RESAMPLES = 2_000
FLAGS = ("in_routellm_mmlu_eval", "in_routellm_gsm8k_eval", "in_mt_bench")
UNNAMED = "merged-2026-02(unnamed)"
PAPER = SwSettings()
PUBLISHED = SwSettings(normalise="query")
SHARP = SwSettings(gamma=SHARP_GAMMA)
EVEN = SwSettings(gamma=1.0)

CANDIDATES = (
    EVEN,
    *(
        replace(one, gamma=10.0**power, background=background)
        for one, background, power in product((PAPER, PUBLISHED), (0.0, 0.1), range(1, 7))
    ),
    *(
        SwSettings(gamma=1.0, n_neighbours=n_neighbours, background=background)
        for background, n_neighbours in product((0.0, 0.1, 0.5), (10, 30, 100, 300))
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Comparisons to weight, a pair to route between, and prompts to measure that on.

    Attributes:
        name: As the page calls it.
        preferences: All comparisons.
        strong: Of the pair, a model of the comparisons.
        weak: Likewise.
        gaps: Strong minus weak quality by prompt, for the prompts where it is known.
    """

    name: str
    preferences: PreferenceArrays
    strong: str
    weak: str
    gaps: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """Prompts of a benchmark with the gap of their answers."""

    name: str
    prompts: Sequence[str]
    gaps: FloatArray
    groups: IntArray | None


def main() -> None:
    """Study every set with every embedder, and write the page."""
    arguments = _arguments()
    embedders = {"static": load_embedder("static")}
    if arguments.minilm is not None:
        embedder = load_embedder(f"sentence:{arguments.minilm}")
        embedders["MiniLM"] = cached(embedder, arguments.cache) if arguments.cache else embedder
    tasks, benches = read_tasks(arguments.data, embedders["static"])
    lines = [HEAD]
    for (label, embedder), task in product(embedders.items(), tasks):
        targets = () if task is tasks[-1] else benches
        lines += study(task, label, embedder, targets)
        print(f"{task.name}; {label}: done", flush=True)
        arguments.output.write_text("\n".join(lines) + "\n")


def read_tasks(folder: Path, embedder: Embedder) -> tuple[list[Task], list[Bench]]:
    """Read the three sets and two benchmarks."""
    read = find_reader("routellm-eval")
    home = folder / "benchmarks" / "routellm"
    questions = [
        prompt
        for name in ("mmlu", "gsm8k", "mt_bench")
        for prompt in read(home / name, decontaminate=False).table.prompts
    ]
    outcomes: Outcomes = find_reader("matrix")(folder / "train/mmlu_pro_34models.parquet").table
    outcomes = outcomes.keep_rows(~_flagged(outcomes.table))
    exams = set_of_outcomes(outcomes, models=[name for name in outcomes.models if name != UNNAMED])
    chats = []
    for name, file in (
        ("alpacaeval", "alpacaeval2_vs_gpt4turbo"),
        ("pandalm", "pandalm_human_999"),
    ):
        table = find_reader(name)(folder / "train" / f"{file}.parquet").table
        kept = table.table.filter(~_flagged(table.table))
        chats.append(set_of_comparisons(replace(table, table=kept)))
    exams, *chats = (
        _cleaned(sets, questions, embedder) for sets in ([exams], [chats[0]], [chats[1]])
    )
    weak = "Mixtral-8x7B-Instruct-v0.1"
    mmlu = load_benchmark("mmlu", home).pair
    mmlu_gaps = dict(zip(mmlu.prompts, mmlu.gap.tolist(), strict=True))
    benches = [
        Bench(name=name, prompts=pair.prompts, gaps=pair.gap, groups=pair.group_codes)
        for name in ("mmlu", "gsm8k")
        for pair in [load_benchmark(name, home).pair]
    ]
    assert exams.outcomes is not None  # noqa: S101
    exam_gaps = exams.outcomes.pair(strong="gpt-4o", weak=weak)
    gold = set_of_outcomes(mmlu.outcomes, models=[STRONG, WEAK])
    merged = merge_preferences([one.preferences for one in chats])
    return [
        Task(
            name="MMLU-Pro, every pair of 33 models",
            preferences=exams.preferences,
            strong="gpt-4o",
            weak=weak,
            gaps=dict(zip(exam_gaps.prompts, exam_gaps.gap.tolist(), strict=True)),
        ),
        Task(
            name="AlpacaEval 2 + PandaLM",
            preferences=merged,
            strong="gpt4_1106_preview",
            weak=weak,
            gaps=_gaps_of_battles(merged, "gpt4_1106_preview", weak),
        ),
        Task(
            name="1,531 gold labels of MMLU",
            preferences=gold.preferences,
            strong=STRONG,
            weak=WEAK,
            gaps=mmlu_gaps,
        ),
    ], benches


def _cleaned(
    sets: Sequence[LabelledSet], questions: Sequence[str], embedder: Embedder
) -> LabelledSet:
    """Leave benchmark questions out, by whole texts of any length and nearly."""
    kept, _ = settle_overlap(sets, questions, embedder, on_overlap=OnOverlap.DROP)
    prompts = kept[0].preferences.prompts
    rows = contained_questions(prompts, questions, min_chars=1).training_rows
    return kept[0].without(frozenset(prompts[row] for row in rows.tolist()))


def _flagged(table: pl.DataFrame) -> npt.NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce([table[flag].to_numpy() for flag in FLAGS]))


def _gaps_of_battles(preferences: PreferenceArrays, strong: str, weak: str) -> dict[str, float]:
    """Return 2 P(strong wins) - 1 by prompt, where the two met."""
    names = np.array(preferences.models, dtype=object)
    first, second = names[preferences.model_a_index], names[preferences.model_b_index]
    gaps = {}
    for sign, rows in (
        (1, np.flatnonzero((first == strong) & (second == weak))),
        (-1, np.flatnonzero((first == weak) & (second == strong))),
    ):
        for row in rows.tolist():
            prompt = preferences.prompts[preferences.prompt_index[row]]
            gaps[prompt] = sign * (2.0 * float(preferences.outcome[row]) - 1.0)
    return gaps


HEAD = """# How far `sw` moves, and what sharper weights are worth

    python -m runs.study_sw_gamma --data DIR --minilm FOLDER --cache FOLDER

PAPER.md, section 6: with gamma 10 the router barely moves. Per set of comparisons and embedder:
training, validation and test prompts 60/20/20 (MMLU: 1,225/306/the rest), ten tiers by the
ratings of the training comparisons (two for a pair). Loss: mean logistic loss per comparison in
nats, over all comparisons; a prompt's comparisons add up to one. All loss and APGR columns of a
candidate are shown, but only the validation loss chose. Intervals: 95%, bootstrap of test prompts
(benchmarks: MMLU by subject), 2,000 resamples, seed 20261121. `k` is nearest neighbours only, all
alike; `bg` the share of weight that all comparisons hold evenly. `SHARP_GAMMA` is 10,000 with plain
cosines, the choice on MMLU-Pro with static vectors; its rows elsewhere chose nothing. Spread:
standard deviation of the win probability over test prompts, and its 5th to 95th percentile.
"""


def study(task: Task, label: str, embedder: Embedder, benches: Sequence[Bench]) -> list[str]:
    """Try all candidates on one set with one embedder; return the section's lines."""
    everything = task.preferences
    fractions = (0.6, 0.2, 0.2)
    if everything.models == (STRONG, WEAK):
        share = N_GOLD / len(everything.prompts)
        fractions = (0.8 * share, 0.2 * share, 1.0 - share)
    split = split_by_prompt(everything.prompts, fractions=fractions, seed=SEED)
    parts = {
        side: everything.take(np.isin(everything.prompt_index, rows))
        for side, rows in (("train", split.train), ("val", split.validation), ("test", split.test))
    }
    embeddings = embedder.embed(everything.prompts)
    tiers = rate_tiers(parts["train"], n_tiers=10, at_most=True).tier_by_model
    ranking = fit_sw(embeddings, parts["train"], tiers=tiers)
    trials = [
        try_settings(replace(ranking, settings=settings), task, embeddings, parts, split.test)
        for settings in CANDIDATES
    ]
    chosen = min(trials, key=lambda trial: trial.validation_loss)
    paper = next(trial for trial in trials if trial.settings == PAPER)
    query = next(trial for trial in trials if trial.settings == PUBLISHED)
    sharp = next(trial for trial in trials if trial.settings == SHARP)
    even = next(trial for trial in trials if trial.settings == EVEN)
    distance = np.abs(paper.win_probabilities - query.win_probabilities)
    known = np.array([p for p in split.train if everything.prompts[p] in task.gaps])
    wins = np.array([(1 + task.gaps[everything.prompts[p]]) / 2 for p in known])
    neighbours = NearestNeighbours(embeddings[known], wins)
    lines = [
        f"\n## {task.name}; {label}\n",
        f"{len(parts['train']):,} comparisons on {len(split.train):,} training prompts, "
        f"{len(split.validation):,} validation and {len(split.test):,} test prompts, "
        f"{ranking.n_tiers} tiers; pair `{task.strong}` (tier {tiers[task.strong]}) and "
        f"`{task.weak}` (tier {tiers[task.weak]}).\n",
        "| settings | validation loss | test loss | APGR, test | spread | 5% to 95% |",
        "|---|---:|---:|---:|---:|---:|",
        *(trial.row(is_chosen=trial is chosen) for trial in trials),
        "",
        f"`train` against `query` at gamma 10: win probabilities differ by up to "
        f"{distance.max():.4f}, {distance.mean():.4f} in the mean.\n",
        f"Test loss, difference (below 0: the first is better), N = {len(paper.losses):,}:\n",
        *(
            f"- {first.name} less {second.name}: "
            + _interval_text(first.losses - second.losses, digits=5)
            for first, second in ((paper, even), (query, paper), (sharp, paper), (chosen, paper))
        ),
        "",
    ]
    own = Bench(
        name="its own test prompts",
        prompts=[everything.prompts[row] for row in chosen.rows],
        gaps=chosen.gaps,
        groups=None,
    )
    routers = {
        "paper, gamma 10": paper,
        "published code, gamma 10": query,
        "`SHARP_GAMMA`": sharp,
        "chosen": chosen,
    }
    lines += ["| measured on | N | router | APGR |", "|---|---:|---|---:|"]
    for bench in (own, *benches):
        vectors = embedder.embed(bench.prompts)
        scores = {
            name: _pair_probabilities(replace(ranking, settings=trial.settings), task, vectors)
            for name, trial in routers.items()
        }
        scores["50 nearest neighbours' labels"] = neighbours.scores(vectors)
        scores["length"] = LengthRouter().win_probabilities(bench.prompts)
        lines += apgr_rows(bench, scores)
    return lines


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One candidate's figures.

    Attributes:
        settings: The candidate.
        validation_loss: Mean over validation prompts, nats.
        losses: Per test prompt, shape (n_test,).
        rows: Test prompts whose gap is known.
        gaps: Their gaps.
        win_probabilities: Of the pair, on them.
    """

    settings: SwSettings
    validation_loss: float
    losses: FloatArray
    rows: IntArray
    gaps: FloatArray
    win_probabilities: FloatArray

    @property
    def name(self) -> str:
        """The candidate in a few words."""
        one = self.settings
        near = f"k {one.n_neighbours}" if one.n_neighbours else f"gamma {one.gamma:g}"
        where = "" if one.n_neighbours or one.gamma == 1 else f", {one.normalise}"
        return near + where + (f", bg {one.background:g}" if one.background else "")

    def row(self, *, is_chosen: bool) -> str:
        """Return a line of the table."""
        low, high = np.quantile(self.win_probabilities, [0.05, 0.95])
        apgr = _apgr(self.win_probabilities, self.gaps)
        name = f"**{self.name}** (chosen)" if is_chosen else self.name
        return (
            f"| {name} | {self.validation_loss:.5f} | {self.losses.mean():.5f} | {apgr:.3f} "
            f"| {self.win_probabilities.std():.4f} | {low:.3f} to {high:.3f} |"
        )


def try_settings(
    ranking: SimilarityWeighted,
    task: Task,
    embeddings: EmbeddingArray,
    parts: Mapping[str, PreferenceArrays],
    test: IntArray,
) -> Trial:
    """Measure one candidate."""
    prompts = task.preferences.prompts
    rows = np.array([row for row in test if prompts[row] in task.gaps])
    return Trial(
        settings=ranking.settings,
        validation_loss=float(prompt_losses(ranking, embeddings, parts["val"]).mean()),
        losses=prompt_losses(ranking, embeddings, parts["test"]),
        rows=rows,
        gaps=np.array([task.gaps[prompts[row]] for row in rows]),
        win_probabilities=_pair_probabilities(ranking, task, embeddings[rows]),
    )


def prompt_losses(
    ranking: SimilarityWeighted, embeddings: EmbeddingArray, battles: PreferenceArrays
) -> FloatArray:
    """Return the mean logistic loss of each prompt's comparisons, shape (n_prompts,)."""
    rows, position = np.unique(battles.prompt_index, return_inverse=True)
    scores = ranking.model_coefficients(embeddings[rows])  # (n_rows, n_models)
    unknown = scores.shape[1]  # models that the training part never saw score like the mean
    scores = np.concatenate([scores, np.zeros((len(rows), 1))], axis=1)
    places = {name: column for column, name in enumerate(ranking.model_names)}
    columns = np.array([places.get(name, unknown) for name in battles.models])
    margins = scores[position, columns[battles.model_a_index]]
    margins = margins - scores[position, columns[battles.model_b_index]]
    losses = np.logaddexp(0.0, margins) - battles.outcome * margins
    sums = np.bincount(position, battles.weight * losses)
    return np.asarray(sums / np.bincount(position, battles.weight), dtype=np.float64)


def _pair_probabilities(
    ranking: SimilarityWeighted, task: Task, embeddings: EmbeddingArray
) -> FloatArray:
    scores = ranking.model_coefficients(embeddings)
    strong, weak = (ranking.model_names.index(name) for name in (task.strong, task.weak))
    return sigmoid(scores[:, strong] - scores[:, weak])


def _apgr(scores: FloatArray, gaps: FloatArray) -> float:
    return routing_metrics(scores, weak_quality=np.zeros_like(gaps), strong_quality=gaps).apgr


def apgr_rows(bench: Bench, scores: Mapping[str, FloatArray]) -> list[str]:
    """Return APGR with intervals, and the difference of the chosen and the paper's."""
    weak = np.zeros_like(bench.gaps)
    samples = bootstrap_metrics(
        scores,
        weak_quality=weak,
        strong_quality=bench.gaps,
        group_codes=bench.groups,
        n_resamples=N_RESAMPLES,
        seed=SEED,
    )
    lines = []
    for name, values in scores.items():
        interval = samples.interval(name, "apgr")
        lines.append(
            f"| {bench.name} | {len(weak):,} | {name} | {_apgr(values, bench.gaps):.3f} "
            f"[{interval.low:.3f}, {interval.high:.3f}] |"
        )
    gap = samples.difference("chosen", "paper, gamma 10")
    lines.append(
        f"| {bench.name} | {len(weak):,} | chosen less paper | [{gap.low:+.3f}, {gap.high:+.3f}] |"
    )
    lines.append(f"| {bench.name} | {len(weak):,} | random (analytic) | 0.500 |")
    return lines


def _interval_text(values: FloatArray, *, digits: int) -> str:
    """Return a mean with its bootstrap interval."""
    means = np.concatenate(
        [
            counts @ values / len(values)
            for counts in resample_counts(len(values), n_resamples=N_RESAMPLES, seed=SEED)
        ]
    )
    interval = percentile_interval(means)
    return f"{values.mean():+.{digits}f} [{interval.low:+.{digits}f}, {interval.high:+.{digits}f}]"


def _arguments() -> argparse.Namespace:
    home = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--cache", type=Path, help="folder that keeps MiniLM's vectors")
    parser.add_argument("--output", type=Path, default=home / "results" / "sw_gamma.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
