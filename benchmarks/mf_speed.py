r"""Training of mf beside routellm's own loop: seconds to the loss that the latter reaches.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/mf_speed.py \
        --peer-python PYTHON --dimensions 256 1536 --output results/mf_speed.md

PYTHON has `pip install 'routellm[serve,eval]==0.2.0' torch==2.13.0`. Both learn from the same
planted comparisons in the same run on the same CPU, with as many threads, in turns.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from routecast.data.preferences import PreferenceArrays
from routecast.stats.platt import sigmoid
from routecast.train.mf import MfFit, MfSettings, fit_mf
from routecast.train.mf_loss import lay_out, mean_loss
from routecast.types import EmbeddingArray, FloatArray, IntArray

N_PROMPTS = {"train": 20_000, "validation": 2_000, "test": 2_000}
N_COMPARISONS = {"train": 100_000, "validation": 10_000, "test": 10_000}
N_TOPICS = 16
COMMON = 1.0  # length of what all prompts share, against that of their topics
SEED = 0
N_REPEATS = 3
BUDGET_EPOCHS = 10
PEER_NOISE = 0.1
WEIGHT_DECAYS = (1e-6, 1e-5, 1e-4)
NOISES = (0.0, 0.05, 0.1)
PEER_MODELS = """
import os; os.environ.setdefault("OPENAI_API_KEY", "none")
import json
from routellm.routers.matrix_factorization.model import MODEL_IDS
print(json.dumps(sorted(MODEL_IDS, key=MODEL_IDS.get)))
"""


@dataclass(frozen=True)
class Planted:
    """Comparisons drawn from known scores, in three sets of different prompts."""

    embeddings: EmbeddingArray
    train: PreferenceArrays
    validation: PreferenceArrays
    test: PreferenceArrays
    best_test_loss: float


@dataclass(frozen=True)
class PeerEpoch:
    """The peer after some epochs: seconds of its loop, and losses of its weights without noise."""

    seconds: float
    own_loss: float
    validation_loss: float
    test_loss: float


@dataclass(frozen=True)
class OwnRun:
    """One fit of ours: all seconds, and those until the validation loss was first reached."""

    seconds: float
    to_target_s: float
    n_steps: int
    steps_to_target: int
    test_loss: float


@dataclass(frozen=True)
class Turn:
    """The peer's budgeted run, and ours right after it with two settings."""

    peer: PeerEpoch
    default: OwnRun
    chosen: OwnRun


def main() -> None:
    """Measure every dimension and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--dimensions", type=int, nargs="+", default=[256])
    parser.add_argument("--epochs", type=int, default=100, help="of the peer's long run")
    parser.add_argument("--output", type=Path, default=Path("results/mf_speed.md"))
    arguments = parser.parse_args()
    if "OMP_NUM_THREADS" not in os.environ:
        parser.error("set OMP_NUM_THREADS, so that both run with as many threads")
    models = json.loads(run_peer(arguments.peer_python, "-c", PEER_MODELS))
    sections = [HEADER, machine()]
    for dimension in arguments.dimensions:
        for part in measure(dimension, models, arguments.peer_python, arguments.epochs):
            arguments.output.write_text("\n".join([*sections, *part]) + "\n")
        sections += part
    print(arguments.output.read_text())


def measure(
    dimension: int, models: Sequence[str], peer_python: str, n_epochs: int
) -> Iterator[list[str]]:
    """Run both sides in turns and yield the section; then once more, with the peer's long run."""
    planted = plant(dimension, models)
    grid = choose_settings(planted)
    chosen = min(grid, key=lambda entry: entry[1].validation_losses[entry[1].best_step])[0]
    turns = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_for_peer(planted, folder)
        for _ in range(N_REPEATS):
            peer = train_peer(peer_python, folder, BUDGET_EPOCHS, planted)[-1]
            runs = [run_own(planted, s, peer.validation_loss) for s in (MfSettings(), chosen)]
            turns.append(Turn(peer, runs[0], runs[1]))
            print(turns[-1], file=sys.stderr, flush=True)
        section = page(dimension, planted, grid, chosen, turns)
        yield section
        quiet = train_peer(peer_python, folder, BUDGET_EPOCHS, planted, noise=0.0)[-1]
        section += quiet_section(quiet, run_own(planted, MfSettings(), quiet.validation_loss))
        yield section
        if n_epochs > BUDGET_EPOCHS:
            long_run = train_peer(peer_python, folder, n_epochs, planted)
            own = run_own(planted, MfSettings(), long_run[-1].validation_loss)
            yield [*section, *long_section(long_run, own)]


def plant(dimension: int, models: Sequence[str]) -> Planted:
    """Draw prompts about some topics, models with tastes, and winners."""
    generator = np.random.default_rng(SEED)
    n_prompts, n_models = sum(N_PROMPTS.values()), len(models)
    topics = generator.normal(size=(n_prompts, N_TOPICS))
    directions = np.linalg.qr(generator.normal(size=(dimension, N_TOPICS)))[0].T
    rows = topics @ directions + generator.normal(size=(n_prompts, dimension)) * (
        0.7 * (N_TOPICS / dimension) ** 0.5
    )
    # As in real embeddings; routellm has no constant per model, and needs it for strength.
    rows += COMMON * N_TOPICS**0.5 * np.linalg.qr(generator.normal(size=(dimension, 1)))[0].T
    embeddings = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    tastes = generator.normal(size=(n_models, N_TOPICS)) / N_TOPICS**0.5
    scores = generator.normal(size=n_models) + topics @ tastes.T  # (n_prompts, n_models)
    starts = np.cumsum([0, *N_PROMPTS.values()])
    parts = [
        draw(generator, scores, models, range(start, start + n), N_COMPARISONS[side])
        for start, (side, n) in zip(starts, N_PROMPTS.items(), strict=False)
    ]
    test = parts[2]
    margins = (
        scores[test.prompt_index, test.model_a_index]
        - scores[test.prompt_index, test.model_b_index]
    )
    best = float(np.mean(np.logaddexp(0, margins) - test.outcome * margins))
    return Planted(embeddings, parts[0], parts[1], test, best)


def draw(
    generator: np.random.Generator,
    scores: FloatArray,
    models: Sequence[str],
    prompts: range,
    n_comparisons: int,
) -> PreferenceArrays:
    """Let pairs of models meet on prompts, and draw who wins."""
    prompt: IntArray = generator.integers(prompts.start, prompts.stop, n_comparisons)
    first = generator.integers(0, len(models), n_comparisons)
    second = (first + generator.integers(1, len(models), n_comparisons)) % len(models)
    wins = generator.uniform(size=n_comparisons) < sigmoid(
        scores[prompt, first] - scores[prompt, second]
    )
    return PreferenceArrays(
        prompts=tuple(str(number) for number in range(len(scores))),
        models=tuple(models),
        prompt_index=prompt.astype(np.int32),
        model_a_index=first.astype(np.int32),
        model_b_index=second.astype(np.int32),
        outcome=wins.astype(np.float32),
        weight=np.ones(n_comparisons, dtype=np.float32),
    )


def choose_settings(planted: Planted) -> list[tuple[MfSettings, MfFit]]:
    """Fit once per setting; the page keeps the one with the lowest validation loss."""
    settings = [
        MfSettings(weight_decay=decay, noise=noise) for decay in WEIGHT_DECAYS for noise in NOISES
    ]
    return [
        (
            one,
            fit_mf(planted.embeddings, planted.train, validation=planted.validation, settings=one),
        )
        for one in settings
    ]


def run_own(planted: Planted, settings: MfSettings, target: float) -> OwnRun:
    """Fit with early stopping, and note when the target was met; infinite where it never was."""
    reached: list[tuple[float, int]] = []
    start_s = time.perf_counter()

    def note(step: int, _: float, validation_loss: float | None) -> None:
        if validation_loss is not None and validation_loss <= target and not reached:
            reached.append((time.perf_counter() - start_s, step + 1))

    fit = fit_mf(
        planted.embeddings,
        planted.train,
        validation=planted.validation,
        settings=settings,
        on_step=note,
    )
    seconds = time.perf_counter() - start_s
    to_target_s, steps = reached[0] if reached else (float("inf"), -1)
    return OwnRun(seconds, to_target_s, len(fit.training_losses), steps, test_loss(planted, fit))


def test_loss(planted: Planted, fit: MfFit) -> float:
    """Mean loss of the kept step on the test prompts."""
    names = ("projection", "projection_bias", "output", "model_vectors")
    weights = {name: getattr(fit.model, name) for name in names}
    return mean_loss(weights, lay_out(planted.embeddings, planted.test))


def write_for_peer(planted: Planted, folder: Path) -> None:
    """Write embeddings and battles in routellm's format: pairs with a winner."""
    np.save(folder / "embeddings.npy", planted.embeddings)
    for side, part in (("train", planted.train), ("validation", planted.validation)):
        battles = [
            {
                "model_a": part.models[a],
                "model_b": part.models[b],
                "idx": int(prompt),
                "winner": "model_a" if won else "model_b",
            }
            for a, b, prompt, won in zip(
                part.model_a_index, part.model_b_index, part.prompt_index, part.outcome, strict=True
            )
        ]
        (folder / f"{side}.json").write_text(json.dumps(battles))


def train_peer(
    peer_python: str, folder: Path, n_epochs: int, planted: Planted, *, noise: float = PEER_NOISE
) -> list[PeerEpoch]:
    """Run the peer's loop, and judge its weights after each epoch."""
    script = Path(__file__).with_name("mf_peer.py")
    run_peer(peer_python, str(script), str(folder), str(n_epochs), str(noise))
    tables = [lay_out(planted.embeddings, part) for part in (planted.validation, planted.test)]
    epochs = []
    for number in range(1, n_epochs + 1):
        saved = np.load(folder / f"epoch_{number}.npz")
        vectors = saved["model_vectors"].astype(np.float64)
        weights = {
            "projection": saved["projection"].astype(np.float64),
            "projection_bias": np.zeros(vectors.shape[1]),
            "output": saved["output"].astype(np.float64),
            "model_vectors": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        }
        losses = [mean_loss(weights, table) for table in tables]
        epochs.append(PeerEpoch(float(saved["seconds"]), float(saved["own_loss"]), *losses))
    return epochs


def run_peer(peer_python: str, *arguments: str) -> str:
    """Run the peer's Python, and return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = subprocess.run(  # noqa: S603 - the interpreter that the caller named
        [peer_python, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise SystemExit(f"{peer_python} failed:\n{run.stderr[-2000:]}")
    return run.stdout


def machine() -> str:
    """Say what ran."""
    python, numpy = platform.python_version(), np.__version__
    return (
        f"{os.cpu_count()} CPUs shared with other work (load {os.getloadavg()[0]:.1f} at the "
        f"start), OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']} for each, Python {python}, "
        f"numpy {numpy}, scipy {scipy.__version__}, routellm 0.2.0 with torch 2.13.0.\n"
    )


def page(
    dimension: int,
    planted: Planted,
    grid: Sequence[tuple[MfSettings, MfFit]],
    chosen: MfSettings,
    turns: Sequence[Turn],
) -> list[str]:
    """Put one dimension's figures into Markdown."""
    peers = [turn.peer for turn in turns]
    seconds = [peer.seconds for peer in peers]
    lines = [
        f"\n## {dimension} dimensions\n",
        "| what | seconds, median | all turns | validation loss | test loss |",
        "|---|---:|---|---:|---:|",
        f"| routellm, {BUDGET_EPOCHS} epochs | {median(seconds):.1f} | {listed(seconds)} "
        f"| {median([peer.validation_loss for peer in peers]):.4f} "
        f"| {median([peer.test_loss for peer in peers]):.4f} |",
    ]
    fits = dict(grid)
    for settings, runs in (
        (MfSettings(), [turn.default for turn in turns]),
        (chosen, [turn.chosen for turn in turns]),
    ):
        lines += own_rows(settings, fits[settings], runs)
    lines += ["", ratio("default settings", peers, [turn.default for turn in turns])]
    lines += [ratio("settings chosen on validation", peers, [turn.chosen for turn in turns])]
    lines += [
        f"- The planted scores themselves have a test loss of {planted.best_test_loss:.4f}.",
    ]
    return [*lines, *grid_section(grid)]


def own_rows(settings: MfSettings, fit: MfFit, runs: Sequence[OwnRun]) -> list[str]:
    """Say how long ours took to the target and in all."""
    name = f"mf, weight decay {settings.weight_decay:g}, noise {settings.noise:g}"
    to_target, whole = [run.to_target_s for run in runs], [run.seconds for run in runs]
    best = fit.validation_losses[fit.best_step]
    return [
        f"| {name}: to routellm's loss, {runs[0].steps_to_target} steps | {median(to_target):.2f} "
        f"| {listed(to_target)} | | |",
        f"| {name}: whole fit, {runs[0].n_steps} steps with early stopping | {median(whole):.2f} "
        f"| {listed(whole)} | {best:.4f} | {runs[0].test_loss:.4f} |",
    ]


def ratio(name: str, peers: Sequence[PeerEpoch], runs: Sequence[OwnRun]) -> str:
    """Say how many times faster, turn by turn."""
    pairs = list(zip(peers, runs, strict=True))
    to_target = [peer.seconds / run.to_target_s for peer, run in pairs]
    whole = [peer.seconds / run.seconds for peer, run in pairs]
    return (
        f"- {name}: **{median(to_target):.0f} times** faster to that loss in the median of "
        f"{len(pairs)} turns, {min(to_target):.0f} in the worst; the whole fit {median(whole):.0f} "
        f"and {min(whole):.0f} times."
    )


def quiet_section(quiet: PeerEpoch, own: OwnRun) -> list[str]:
    """Report the peer's loop with its noise switched off, which these data favour."""
    return [
        f"\nroutellm without its noise, {BUDGET_EPOCHS} epochs, one run: {quiet.seconds:.1f} s, "
        f"validation loss {quiet.validation_loss:.4f}, test loss {quiet.test_loss:.4f}. mf with "
        f"default settings, run right after, is there after {own.steps_to_target} steps and "
        f"{own.to_target_s:.2f} s: **{quiet.seconds / own.to_target_s:.0f} times** sooner; its "
        f"whole fit took {own.seconds:.2f} s."
    ]


def long_section(long_run: Sequence[PeerEpoch], own: OwnRun) -> list[str]:
    """Report the peer's long run, and how long ours takes to where it ends."""
    stopped = min(long_run, key=lambda epoch: epoch.own_loss)
    last, best = long_run[-1], min(long_run, key=lambda epoch: epoch.validation_loss)
    reached = (
        f"mf with default settings is there after {own.to_target_s:.2f} s, "
        f"{last.seconds / own.to_target_s:.0f} times sooner"
        if own.steps_to_target > 0
        else "mf with default settings does not get there"
    )
    return [
        f"\nroutellm, {len(long_run)} epochs, one run after these turns: {last.seconds:.0f} s, "
        f"validation loss {last.validation_loss:.4f}, test loss {last.test_loss:.4f}; {reached}. "
        f"Its best epoch by our loss has {best.validation_loss:.4f} and {best.test_loss:.4f}, "
        f"after {best.seconds:.0f} s. The loss that it prints, with noise, is {last.own_loss:.4f} "
        f"at the end and lowest after {stopped.seconds:.0f} s.",
    ]


def grid_section(grid: Sequence[tuple[MfSettings, MfFit]]) -> list[str]:
    """List the best validation loss of each setting."""
    rows = [
        f"| {settings.weight_decay:g} | {settings.noise:g} "
        f"| {fit.validation_losses[fit.best_step]:.4f} | {fit.best_step + 1} |"
        for settings, fit in grid
    ]
    header = "| weight decay | noise | best validation loss | at step |"
    return ["\nSettings tried:\n", header, "|---:|---:|---:|---:|", *rows]


def median(values: Sequence[float]) -> float:
    """Return the middle one."""
    return statistics.median(values)


def listed(values: Sequence[float]) -> str:
    """List seconds in order."""
    return ", ".join(f"{value:.2f}" for value in sorted(values))


HEADER = """# Training mf beside routellm's own loop

Made by `python benchmarks/mf_speed.py --peer-python PYTHON`; more with `--dimensions`. The
data: 100,000 comparisons of 64 models on 20,000 prompts, all with a winner because routellm drops
ties, drawn from planted topics; 10,000 more on 2,000 other prompts for validation, and as many for
the test. routellm 0.2.0 runs its own model and loop (128 factors, Adam, batches of 64, noise 0.1;
its seconds hold its evaluation too). Its weights are judged by our loss without noise, which its
own evaluator adds. The turns alternate; settings are chosen on validation, tests are reported.
"""


if __name__ == "__main__":
    main()
