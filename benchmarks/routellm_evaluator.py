"""The published evaluator, PyPI routellm 0.2.0, and ours on the same scores.

    python benchmarks/routellm_evaluator.py --data DIR --python PYTHON

DIR holds benchmarks/routellm in the published layout. PYTHON is an interpreter of its own, with
``pip install 'routellm[serve,eval]==0.2.0' 'torch==2.13.0' 'sglang<0.2' 'pandas<3' 'numpy<2.4'``:
newer releases of sglang, which the evaluator never calls, want a GPU to install; pandarallel,
which it imports, does not know pandas 3; and ``np.trapz``, which it calls, is gone from numpy 2.4.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from routecast.artifacts import load_router
from routecast.evaluate.benchmarks import Benchmark, benchmark_names, load_benchmark
from routecast.evaluate.metrics import RoutingMetrics, routing_metrics
from routecast.types import FloatArray

THEIRS = r"""
import json, os, sys
os.environ["OPENAI_API_KEY"] = "none"  # clients are made at import
os.environ["MPLBACKEND"] = "agg"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # fetched at import otherwise
import numpy as np, pandas as pd
import routellm.evals.benchmarks as benchmarks
from routellm.controller import ModelPair
from routellm.evals import evaluate
from routellm.evals.mmlu.domains import ALL_MMLU_DOMAINS

folder, scores_file, output = sys.argv[1:]
benchmarks.CURRENT_DIR = folder
pair = ModelPair(strong="gpt-4-1106-preview", weak="mistralai/Mixtral-8x7B-Instruct-v0.1")
makers = {
    "mmlu": lambda: benchmarks.MMLU(ALL_MMLU_DOMAINS, pair, []),
    "gsm8k": lambda: benchmarks.GSM8K(pair, []),
    "mt-bench": lambda: benchmarks.MTBench(pair, []),
}
found = {}
for name, routers in json.load(open(scores_file)).items():
    benchmark = makers[name]()
    if name == "mt-bench":
        prompts = benchmark.questions["turns"].apply(lambda turns: turns[0])
    else:
        prompts = benchmark.all_data["prompt"]
    found[name] = {"n_prompts": len(prompts)}
    for router, score_of in routers.items():
        # What batch_calculate_win_rate returns is a Series; the cache keeps it as an array.
        values = np.array([score_of[prompt] for prompt in prompts])
        if router.endswith("by row"):
            values = pd.Series(values).rank(method="first").to_numpy()
        benchmark.cache = {router: values}  # found there, it is not computed and not written
        try:
            rows = [
                {"method": router, "accuracy": accuracy,
                 "strong_percentage": counts[pair.strong] / total * 100}
                for _, accuracy, counts, total in benchmark.evaluate(None, router, 10, False)
            ]
        except ValueError as error:
            found[name][router] = {"error": str(error).splitlines()[0]}
            continue
        said = []
        evaluate.print = lambda *words: said.append(words)
        evaluate.generate_results(pd.DataFrame(rows), benchmark, name, pair, output)
        table = said[-1][1].iloc[0]
        found[name][router] = {
            "apgr": float(table["APGR"]),
            "cpt_50": float(table["50% qual"].rstrip("%")) / 100,
            "cpt_80": float(table["80% qual"].rstrip("%")) / 100,
            "quality": [row["accuracy"] for row in rows],
        }
print("RESULT " + json.dumps(found))
"""

HEADER = """# Our evaluator and routellm's, on the same scores

Made by `python benchmarks/routellm_evaluator.py --data DIR --python PYTHON`: DIR is the folder of
shared data, PYTHON an environment with `routellm[serve,eval]==0.2.0`, `torch==2.13.0`,
`sglang<0.2`, `pandas<3` and `numpy<2.4`. Their classes `MMLU`, `GSM8K` and `MTBench` and their
`generate_results` run as published on scores that we hand them in their cache; the latter is
called with the pair of models, where their own main program passes it one name, and fails.
"""

FOOTER = """
- **length** is the number of characters; **length by row** the same with equal lengths ranked by
  row order; **default** the win probability of the router in the package. "11 quantiles" is
  `apgr_eleven_quantiles`; "exact" is the whole curve, equal scores in expectation.
- The 11-quantile columns are equal but for the rounding of sums. By row on MMLU they differ a
  little more because the rows do: their files are read in another order than ours, which is what
  a figure that rests on row order invites. "Exact" differs from them by what eleven points miss.
- The published .556, .583 and .598 for length are the "by row" lines: equal lengths were ranked
  by row order. The published rule moves equal scores together and gives .5555, .5837 and .5987.
- CPT differs by up to .015. Theirs is `np.interp` of the share over the quality at eleven points:
  coarse, and wrong in kind where the quality falls on the way (last column), for `np.interp`
  needs rising values, does not check, and then answers by where its bisection lands. Ours is the
  smallest share on the running maximum of all n + 1 cut points.
"""


def main() -> None:
    """Run both and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=os.environ.get("ROUTECAST_DATA"))
    parser.add_argument("--python", type=Path, required=True, help="interpreter with routellm")
    parser.add_argument("--output", type=Path, default=Path("results/routellm_evaluator.md"))
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the folder of shared data by --data or ROUTECAST_DATA")
    folder = Path(arguments.data).resolve() / "benchmarks" / "routellm"
    benchmarks = [load_benchmark(name, folder) for name in benchmark_names()]
    scores = {benchmark.name: router_scores(benchmark) for benchmark in benchmarks}
    theirs = run_theirs(arguments.python, folder, benchmarks, scores)
    lines = table(benchmarks, scores, theirs)
    arguments.output.write_text(HEADER + "\n" + "\n".join(lines) + "\n" + FOOTER)
    print(arguments.output.read_text())


def router_scores(benchmark: Benchmark) -> dict[str, FloatArray]:
    """Score each prompt by length, by length with ties broken by row, and by the default router."""
    length = np.array([len(prompt) for prompt in benchmark.outcomes.prompts], dtype=np.float64)
    default = load_router("default").router.win_probabilities(benchmark.outcomes.prompts)
    return {"length": length, "length by row": length, "default": default}


def run_theirs(
    python: Path,
    folder: Path,
    benchmarks: list[Benchmark],
    scores: Mapping[str, Mapping[str, FloatArray]],
) -> dict[str, Any]:
    """Hand the scores to routellm's evaluator in its own environment."""
    by_prompt = {
        benchmark.name: {
            router: dict(zip(benchmark.outcomes.prompts, values.tolist(), strict=True))
            for router, values in scores[benchmark.name].items()
        }
        for benchmark in benchmarks
    }
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "scores.json"
        file.write_text(json.dumps(by_prompt))
        run = subprocess.run(  # noqa: S603
            [str(python), "-c", THEIRS, str(folder), str(file), place],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            cwd=place,
        )
    answer = next(line for line in run.stdout.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(answer.removeprefix("RESULT "))
    return found


def ours(benchmark: Benchmark, router: str, values: FloatArray) -> RoutingMetrics:
    """Our figures on the same scores."""
    if router.endswith("by row"):
        values = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
    pair = benchmark.pair
    return routing_metrics(
        values, weak_quality=pair.weak_quality, strong_quality=pair.strong_quality
    )


def table(
    benchmarks: list[Benchmark],
    scores: Mapping[str, Mapping[str, FloatArray]],
    theirs: Mapping[str, Any],
) -> list[str]:
    """One line per benchmark and router, as a Markdown table."""
    lines = [
        "| benchmark | N (theirs) | score | 11 quantiles, ours | theirs | exact "
        "| CPT(50%) ours / theirs | CPT(80%) ours / theirs | their quality falls |",
        "|---|---|---|---:|---:|---:|---|---|---:|",
    ]
    furthest = {False: 0.0, True: 0.0}
    for benchmark in benchmarks:
        for router, values in scores[benchmark.name].items():
            here, there = ours(benchmark, router, values), theirs[benchmark.name][router]
            start = (
                f"| {benchmark.name} | {here.n_prompts:,} ({theirs[benchmark.name]['n_prompts']:,})"
                f" | {router} | {here.apgr_eleven_quantiles:.6f} |"
            )
            if "error" in there:
                lines.append(f"{start} stops: {there['error']} | {here.apgr:.4f} | | | |")
                continue
            distance = abs(there["apgr"] - here.apgr_eleven_quantiles)
            furthest[router.endswith("by row")] = max(distance, furthest[router.endswith("by row")])
            n_falls = int((np.diff(there["quality"][::-1]) < 0).sum())
            lines.append(
                f"{start} {there['apgr']:.6f} | {here.apgr:.4f} "
                f"| {here.cpt_50:.4f} / {there['cpt_50']:.4f} "
                f"| {here.cpt_80:.4f} / {there['cpt_80']:.4f} | {n_falls} of 10 steps |"
            )
    return [
        *lines,
        "",
        f"Largest difference of the two 11-quantile columns: {furthest[False]:.1e}, and "
        f"{furthest[True]:.1e} where ties are broken by row.",
    ]


if __name__ == "__main__":
    main()
