"""Time `sw` beside routellm 0.2.0's own functions, and hold its compressed form to the exact one.

    python benchmarks/sw_speed.py --peer PEER/bin/python [--output results/sw_speed.md]

PEER is an environment of its own with `routellm==0.2.0`, what it imports, and `torch==2.13.0`.
Both sides get the same 65,000 battles of 64 models in ten tiers and the same 1,536-d vectors, in
one run. Vectors are random: a topic of 40 (cosine .36 inside it) plus noise whose k-th direction
has variance 1 / k, the exponent that all-MiniLM-L6-v2 has on 28,018 prompts (.99), or the same in
all directions.
Takes about ten minutes on 4 cores, and 4 GB for the peer.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from routecast.data.preferences import PreferenceArrays
from routecast.embed.protocol import EmbedderIdentity
from routecast.routers.sw import BoundSimilarityWeighted, SwSettings
from routecast.routers.sw_compressed import compress
from routecast.train.sw import fit_sw
from routecast.types import EmbeddingArray, FloatArray

N_BATTLES, N_QUERIES, N_CHECKED, DIMENSION = 65_000, 10_000, 1_000, 1_536
N_TOPICS, N_TIERS, N_MODELS, TOPIC_SHARE = 40, 10, 64, 0.6
N_PEER, N_PEER_ALL, N_ALONE = 25, 5, 50
STRONG, WEAK = "tier:0", "tier:2"
SEED = 20261121


@dataclass(frozen=True)
class NoEmbedder:
    """Names a dimension; all vectors are at hand."""

    identity: EmbedderIdentity

    def embed(self, texts: Sequence[str]) -> EmbeddingArray:
        """Refuse: nothing is embedded here."""
        raise NotImplementedError(f"{len(texts)} texts")


def main() -> None:
    """Make the data, time both sides, write the page; or one side in a process of its own."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", type=Path, help="python of an environment with routellm")
    parser.add_argument("--output", type=Path, default=Path("results/sw_speed.md"))
    parser.add_argument("--part", nargs=3, metavar=("FOLDER", "NORMALISE", "FORM"))
    arguments = parser.parse_args()
    if arguments.part:
        folder, normalise, form = arguments.part
        run_part(Path(folder), normalise, form)
        return
    if arguments.peer is None:
        parser.error("--peer is missing; give the python of an environment with routellm 0.2.0")
    with TemporaryDirectory() as workspace:
        home, hard = Path(workspace) / "decaying", Path(workspace) / "even"
        make_data(home, decay=1.0)
        before = run_parts(home)
        peer = run_peer(arguments.peer, home)
        parts = run_parts(home)
        for key, one in parts.items():
            for name in ("alone_ms", "bulk_ms"):
                one[name] = (one[name] + before[key][name]) / 2
        make_data(hard, decay=0.0)
        hard_parts = run_parts(hard)
        page = page_of(peer, parts, hard_parts)
    arguments.output.write_text(page)
    print(page)


def make_data(folder: Path, *, decay: float) -> None:
    """Write vectors, queries and battles whose outcomes depend on the topic."""
    folder.mkdir()
    generator = np.random.default_rng(SEED)
    topics = unit_rows(generator.standard_normal((N_TOPICS, DIMENSION)))
    scales = np.arange(1, DIMENSION + 1) ** (-decay / 2)
    topic = generator.integers(0, N_TOPICS, N_BATTLES + N_QUERIES)
    vectors = generator.standard_normal((len(topic), DIMENSION), dtype=np.float32)
    vectors = unit_rows(vectors * scales.astype(np.float32))
    vectors *= np.float32((1 - TOPIC_SHARE**2) ** 0.5)
    vectors += np.float32(TOPIC_SHARE) * topics[topic]
    vectors = unit_rows(vectors)
    np.save(folder / "embeddings.npy", vectors[:N_BATTLES])
    np.save(folder / "queries.npy", vectors[N_BATTLES:])
    strengths = np.linspace(1.2, -1.2, N_TIERS) + generator.normal(0, 0.35, (N_TOPICS, N_TIERS))
    tier = tiers_of_models()
    first = generator.integers(0, N_MODELS, N_BATTLES)
    second = (first + generator.integers(1, N_MODELS, N_BATTLES)) % N_MODELS
    rows = topic[:N_BATTLES]
    margin = strengths[rows, tier[first]] - strengths[rows, tier[second]]
    wins = (generator.uniform(size=N_BATTLES) < 1 / (1 + np.exp(-margin))).astype(np.float32)
    tied = generator.uniform(size=N_BATTLES) < 0.25
    np.savez(
        folder / "battles.npz",
        model_a=first,
        model_b=second,
        tier_a=tier[first],
        tier_b=tier[second],
        outcome=np.where(tied, np.float32(0.5), wins),
    )


def unit_rows(vectors: Any) -> EmbeddingArray:  # noqa: ANN401
    """Scale rows to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def tiers_of_models() -> "np.typing.NDArray[np.int64]":
    """Return the tier of each model: six or seven to a tier."""
    return np.arange(N_MODELS) * N_TIERS // N_MODELS


def run_peer(python: Path, folder: Path) -> dict[str, dict[str, FloatArray]]:
    """Run the peer's own functions in its own environment."""
    script = Path(__file__).with_name("sw_peer.py")
    environment = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": "not-a-key", "HF_HUB_OFFLINE": "1"}
    subprocess.run(  # noqa: S603
        [str(python), "-W", "ignore", str(script), str(folder), str(N_PEER), str(N_PEER_ALL)],
        env=environment,
        check=True,
    )
    return {name: dict(np.load(folder / f"peer_{name}.npz")) for name in ("across", "all")}


def run_parts(folder: Path) -> "Parts":
    """Run both forms with both normalisations."""
    return {
        (normalise, form): start_part(folder, normalise, form)
        for normalise in ("query", "train")
        for form in ("exact", "compressed")
    }


def start_part(folder: Path, normalise: str, form: str) -> dict[str, Any]:
    """Run one form in a fresh process with one BLAS thread; return what it measured."""
    command = [sys.executable, __file__, "--part", str(folder), normalise, form]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(  # noqa: S603
        command, env=environment, check=True, capture_output=True, text=True
    )
    measured: dict[str, Any] = json.loads(run.stdout)
    measured["probabilities"] = np.load(folder / f"{normalise}_{form}.npy")
    return measured


def run_part(folder: Path, normalise: str, form: str) -> None:
    """Fit, score alone and in bulk, and print times and peak memory."""
    bound = fit(folder, normalise, form)
    queries = np.load(folder / "queries.npy")
    alone_s = [seconds_of(bound, queries[row : row + 1]) for row in range(N_ALONE)]
    n_bulk = len(queries) if form == "compressed" and folder.name == "decaying" else N_CHECKED
    start_s = time.perf_counter()
    probabilities = bound.win_probabilities_of(queries[:n_bulk], n_threads=4)
    bulk_s = time.perf_counter() - start_s
    np.save(folder / f"{normalise}_{form}.npy", probabilities[:N_CHECKED])
    measured = {
        "alone_ms": 1e3 * float(np.median(alone_s)),
        "bulk_ms": 1e3 * bulk_s / n_bulk,
        "n_bulk": n_bulk,
        "peak_mb": peak_mb(),
    }
    print(json.dumps(measured))


def peak_mb() -> float:
    """Return the most memory that this process had; getrusage would count its parent's too."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def fit(folder: Path, normalise: str, form: str) -> BoundSimilarityWeighted:
    """Lay the battles out; the caller's copy of the vectors goes when this returns."""
    columns = dict(np.load(folder / "battles.npz"))
    training = PreferenceArrays(
        prompts=tuple(map(str, range(N_BATTLES))),
        models=tuple(f"model {number}" for number in range(N_MODELS)),
        prompt_index=np.arange(N_BATTLES, dtype=np.int32),
        model_a_index=columns["model_a"].astype(np.int32),
        model_b_index=columns["model_b"].astype(np.int32),
        outcome=columns["outcome"],
        weight=np.ones(N_BATTLES, dtype=np.float32),
    )
    tiers = dict(zip(training.models, tiers_of_models().tolist(), strict=True))
    options = SwSettings(normalise="query" if normalise == "query" else "train")
    embeddings = np.load(folder / "embeddings.npy")
    ranking = fit_sw(embeddings, training, tiers=tiers, settings=options)
    del embeddings
    identity = EmbedderIdentity(name="random", revision="1", dimension=DIMENSION, digest="")
    ranking = compress(ranking) if form == "compressed" else ranking
    return ranking.bind(strong=[STRONG], weak=[WEAK], embedder=NoEmbedder(identity))


def seconds_of(bound: BoundSimilarityWeighted, query: EmbeddingArray) -> float:
    """Time one call."""
    start_s = time.perf_counter()
    bound.win_probabilities_of(query)
    return time.perf_counter() - start_s


Parts = dict[tuple[str, str], dict[str, Any]]


def page_of(peer: dict[str, dict[str, FloatArray]], parts: Parts, hard: Parts) -> str:
    """Write the figures down."""
    peer_ms = 1e3 * float(np.median(peer["across"]["seconds"]))
    peer_all_ms = 1e3 * float(np.median(peer["all"]["seconds"]))
    lines = [
        "# Speed and exactness of `sw`",
        "",
        "    python benchmarks/sw_speed.py --peer PEER/bin/python",
        "",
        f"{N_BATTLES:,} battles of {N_MODELS} models in {N_TIERS} tiers, {DIMENSION:,}-d vectors "
        f"of {N_TOPICS} topics; gamma 10; tier 0 against tier 2. The peer is `routellm` 0.2.0: its "
        "`SWRankingRouter.calculate_strong_win_rate`, called as it stands with the embedding at "
        "hand; its BLAS as it comes. Ours: one BLAS thread; alone: one query at a time, median of "
        f"{N_ALONE}; in bulk: four Python threads; each the mean of two runs, before "
        "and after the peer's. Load of the machine at the end "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, so trust the ratios. "
        f"Python {platform.python_version()}, numpy {np.__version__}.",
        "",
        "| | ms, alone | times the peer | ms, in bulk | queries | times the peer | peak MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
        f"| `routellm`, battles of two tiers (median of {N_PEER}) | {peer_ms:.0f} | 1 | | | | |",
        f"| `routellm`, all battles (median of {N_PEER_ALL}) | {peer_all_ms:.0f} | | | | | |",
    ]
    for (normalise, form), one in parts.items():
        lines.append(
            f"| {form}, `{normalise}` | {one['alone_ms']:.2f} | {peer_ms / one['alone_ms']:.0f} "
            f"| {one['bulk_ms']:.3f} | {one['n_bulk']:,} | {peer_ms / one['bulk_ms']:.0f} "
            f"| {one['peak_mb']:.0f} |"
        )
    lines += ["", "## Compressed against exact", "", f"On {N_CHECKED:,} queries.", ""]
    lines += [
        "| noise | S | spread (sd) | largest difference | rank correlation |",
        "|---|---|---:|---:|---:|",
    ]
    for noise, some in (("variance 1 / k", parts), ("even, the hardest", hard)):
        for normalise in ("query", "train"):
            exact = some[normalise, "exact"]["probabilities"]
            found = some[normalise, "compressed"]["probabilities"]
            lines.append(
                f"| {noise} | `{normalise}` | {exact.std():.4f} "
                f"| {np.abs(exact - found).max():.5f} | {spearmanr(exact, found)[0]:.4f} |"
            )
    ours = parts["query", "exact"]["probabilities"]
    gap, gap_all = (
        float(np.abs(peer[name]["probabilities"] - ours[: len(peer[name]["probabilities"])]).max())
        for name in ("across", "all")
    )
    lines += [
        "",
        "## Agreement with the peer",
        "",
        f"With its normalisation (`query`), on battles of two tiers: largest difference {gap:.1e} "
        f"on {N_PEER} queries. On all battles {gap_all:.4f} on {N_PEER_ALL}: a battle inside one "
        "tier becomes a row of its design matrix with -1 and no +1, as if that tier had played a "
        "contestant of strength 0, which cannot be reproduced by leaving such battles out.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
