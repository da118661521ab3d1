"""Run routellm 0.2.0's own similarity-weighted router, as `sw_speed.py` asks it to.

    PEER/bin/python benchmarks/sw_peer.py FOLDER N_ACROSS N_ALL

Runs in an environment of its own, without routecast. FOLDER holds embeddings.npy, queries.npy and
the battles as columns of battles.npz. N_ACROSS queries are answered on the battles of two
tiers, N_ALL on all battles; the answers go to peer_NAME.npz beside them. The client that
the library creates at import is replaced by one that returns the embedding at hand, so that nothing
is asked of the network; everything else is its own code, called as its router calls it.
"""

import os
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]

STRONG, WEAK = 0, 2  # tiers


def main() -> None:
    """Time the router on all battles, and on those of two tiers."""
    os.environ.setdefault("OPENAI_API_KEY", "not-a-key")
    folder = Path(sys.argv[1])
    columns = dict(np.load(folder / "battles.npz"))
    embeddings = np.load(folder / "embeddings.npy").astype(np.float64)  # as its code reads them
    queries = np.load(folder / "queries.npy")
    across = columns["tier_a"] != columns["tier_b"]
    everything = np.ones(len(across), dtype=np.bool_)
    for name, rows, n_queries in (
        ("across", across, int(sys.argv[2])),
        ("all", everything, int(sys.argv[3])),
    ):
        router = make_router(
            {key: column[rows] for key, column in columns.items()}, embeddings[rows]
        )
        answer(router, queries[:2])  # the first calls load what is loaded late
        probabilities, seconds = answer(router, queries[:n_queries])
        np.savez(folder / f"peer_{name}.npz", probabilities=probabilities, seconds=seconds)


def make_router(columns: dict[str, AnyArray], embeddings: AnyArray) -> Any:  # noqa: ANN401
    """Fill a router in without its downloads; its models are the tiers of the battles."""
    pandas = import_module("pandas")
    routers = import_module("routellm.routers.routers")
    router = routers.SWRankingRouter.__new__(routers.SWRankingRouter)
    router.arena_df = pandas.DataFrame(
        {
            "model_a": columns["tier_a"],
            "model_b": columns["tier_b"],
            "winner": np.array(["model_b", "tie", "model_a"])[(columns["outcome"] * 2).astype(int)],
        }
    )
    router.arena_conv_embedding = embeddings
    router.embedding_model = "at hand"
    router.strong_model, router.weak_model = "strong", "weak"
    router.model2tier = {"strong": STRONG, "weak": WEAK}
    return router


def answer(router: Any, queries: AnyArray) -> tuple[AnyArray, AnyArray]:  # noqa: ANN401
    """Return win probabilities and seconds per query, the embedding call left out."""
    routers: Any = import_module("routellm.routers.routers")
    probabilities, seconds = [], []
    for query in queries:
        vector = query.tolist()
        reply = SimpleNamespace(data=[SimpleNamespace(embedding=vector)])
        create = SimpleNamespace(create=lambda reply=reply, **_: reply)
        routers.OPENAI_CLIENT = SimpleNamespace(embeddings=create)
        start_s = time.perf_counter()
        probabilities.append(router.calculate_strong_win_rate("at hand"))
        seconds.append(time.perf_counter() - start_s)
    return np.array(probabilities), np.array(seconds)


if __name__ == "__main__":
    main()
