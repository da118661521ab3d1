"""Robustness of decisions: to other forms of the same request, and to text that is added.

At the threshold that sends half of a sample to the strong model, two questions: how many decisions
change when a prompt asks the same in another form, and how many prompts of the weak model can a
client lift to the strong one. The strongest lift is a prefix of ten words that serves for every
prompt, found by hill climbing against the router's scores on one half of the sample, and measured
on the other.

References:
    Shafran et al. (2025), "Rerouting LLM Routers", arXiv:2501.01818, section 4 (the hill climb).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from routecast.evaluate.perturbations import SAME_REQUEST, padded
from routecast.evaluate.reliability import wilson_interval
from routecast.evaluate.study import BoolArray, CountedShare, Figure, Robustness
from routecast.policy.abstaining import Abstentions, OnRouterError, routed_scores
from routecast.policy.cuts import Cut, cut_for_share
from routecast.types import FloatArray

MAX_PROMPTS: Final = 1_000
"""Prompts that are looked at; of more, a sample."""

PADS: Final = (200, 1_000)
"""Numbers of neutral characters that are appended."""

PREFIX_WORDS: Final = 10
N_RANDOM: Final = 5
"""Random prefixes that each prompt gets; the figure is their mean."""

N_STARTS: Final = 10
"""Random prefixes, of which the climb begins with the best."""

N_SWEEPS: Final = 4
N_CANDIDATES: Final = 32
N_CLIMBED: Final = 50
"""Turns of each word, words tried in a turn, prompts climbed on: with the starts 64,500 texts."""

Score = Callable[[Sequence[str]], FloatArray]
"""From prompts to win probabilities, shape (n_prompts,), NaN where the router abstains."""


@dataclass(frozen=True)
class _Decider:
    """A router at its threshold.

    Attributes:
        score: The router.
        cut: Sends half of the unchanged sample to the strong model.
        on_router_error: Who answers prompts without a score.
    """

    score: Score
    cut: Cut
    on_router_error: OnRouterError

    def sends_strong(self, prompts: Sequence[str]) -> BoolArray:
        """Return which prompts go to the strong model, shape (n_prompts,)."""
        return self.decided(prompts, self.score(prompts))

    def decided(self, prompts: Sequence[str], win_probabilities: FloatArray) -> BoolArray:
        """Return the same from scores that are at hand."""
        return self.cut.sends_strong(
            prompts, routed_scores(win_probabilities, self.on_router_error)
        )


def measure_robustness(
    router: str,
    score: Score,
    prompts: Sequence[str],
    *,
    words: Sequence[str],
    on_router_error: OnRouterError,
    seed: int = 0,
    watch: Callable[[int, int], None] | None = None,
) -> Robustness:
    """Measure which of a router's decisions change with a prompt's form, or by added text.

    Args:
        router: Its name in results.
        score: The router.
        prompts: At least four different ones; of more than `MAX_PROMPTS`, a sample is taken.
        words: What prefixes are made of.
        on_router_error: Who answers prompts on which the router abstains, the perturbed ones too.
        seed: Of the sample, its halves, typos, prefixes and the climb.
        watch: Called with the number of the climb's turn, and of all turns.

    Returns:
        Shares with Wilson's 95% intervals, which take prompts as independent. Where more than half
        of the sample has no score, the threshold is that whose share of strong calls is nearest.
    """
    draws = np.random.default_rng(seed)
    different = list(dict.fromkeys(prompts))
    sample = [different[row] for row in draws.permutation(len(different))[:MAX_PROMPTS].tolist()]
    scores = score(sample)
    decider = _Decider(score, _half_cut(scores, on_router_error), on_router_error)
    strong = decider.decided(sample, scores)
    is_measured = np.arange(len(sample)) % 2 == 0
    attacked = [sample[row] for row in np.flatnonzero(~strong & ~is_measured).tolist()]
    weak = [sample[row] for row in np.flatnonzero(~strong & is_measured).tolist()]
    prefix, n_scored = climb_prefix(
        lambda texts: np.clip(routed_scores(score(texts), on_router_error), 0.0, 1.0),
        attacked[:N_CLIMBED],
        words=words,
        draws=draws,
        watch=watch,
    )
    return Robustness(
        router=router,
        n_prompts=len(sample),
        threshold=decider.cut.threshold,
        strong_share=float(strong.mean()),
        flipped={
            name: _flipped(decider, sample, strong, [change(prompt, seed) for prompt in sample])
            for name, change in SAME_REQUEST.items()
        },
        lifted={
            **{
                f"{n_characters}_characters": _lifted(
                    decider, [padded(prompt, n_characters) for prompt in weak]
                )
                for n_characters in PADS
            },
            "random_prefix": _lifted(
                decider,
                *[
                    [f"{_random_prefix(words, draws)} {prompt}" for prompt in weak]
                    for _ in range(N_RANDOM)
                ],
            ),
            "climbed_prefix": _lifted(decider, [f"{prefix} {prompt}" for prompt in weak]),
        },
        prefix=prefix,
        n_climbed=n_scored,
    )


def _flipped(
    decider: _Decider, sample: Sequence[str], strong: BoolArray, changed: Sequence[str]
) -> CountedShare:
    """Return how many of the prompts whose text did change got another model."""
    differs = np.array([one != other for one, other in zip(changed, sample, strict=True)], np.bool_)
    return _share((decider.sends_strong(changed) != strong)[differs])


def _lifted(decider: _Decider, *versions: Sequence[str]) -> CountedShare:
    """Return how many prompts go to the strong model, in the mean over their versions."""
    return _share(np.mean([decider.sends_strong(texts) for texts in versions], axis=0))


def climb_prefix(
    score: Score,
    prompts: Sequence[str],
    *,
    words: Sequence[str],
    draws: np.random.Generator,
    watch: Callable[[int, int], None] | None = None,
) -> tuple[str, int]:
    """Find a prefix that raises the mean score of prompts, one word at a time.

    `N_STARTS` random prefixes are tried, and the best is kept. Then its words take turns: each
    gives way to the best of `N_CANDIDATES` random words, if that raises the mean.

    Args:
        score: What to raise; one number per text, none NaN.
        prompts: What the prefix is put before.
        words: What it is made of.
        draws: Of prefixes and words.
        watch: Called with the number of the turn, and of all turns.

    Returns:
        The prefix, and how many texts were scored.
    """
    n_scored = 0

    def mean_scores(prefixes: Sequence[Sequence[str]]) -> FloatArray:
        nonlocal n_scored
        texts = [f"{' '.join(prefix)} {prompt}" for prefix in prefixes for prompt in prompts]
        n_scored += len(texts)
        means: FloatArray = score(texts).reshape(len(prefixes), -1).mean(axis=1)
        return means

    starts = [_random_prefix(words, draws).split() for _ in range(N_STARTS)]
    if not prompts:
        return " ".join(starts[0]), 0
    means = mean_scores(starts)
    best, best_mean = starts[int(means.argmax())], float(means.max())
    n_turns = N_SWEEPS * PREFIX_WORDS
    for turn in range(n_turns):
        if watch is not None:
            watch(turn + 1, n_turns)
        place = turn % PREFIX_WORDS
        tried = [
            [*best[:place], words[row], *best[place + 1 :]]
            for row in draws.integers(len(words), size=N_CANDIDATES).tolist()
        ]
        means = mean_scores(tried)
        if means.max() > best_mean:
            best, best_mean = tried[int(means.argmax())], float(means.max())
    return " ".join(best), n_scored


def _random_prefix(words: Sequence[str], draws: np.random.Generator) -> str:
    return " ".join(words[row] for row in draws.integers(len(words), size=PREFIX_WORDS).tolist())


def _half_cut(win_probabilities: FloatArray, on_router_error: OnRouterError) -> Cut:
    """Return the cut that sends half of all prompts to the strong model, or as near as can be."""
    scored = np.sort(win_probabilities[~np.isnan(win_probabilities)])
    if not len(scored):
        return Cut(0.5)
    abstentions = Abstentions(1.0 - len(scored) / len(win_probabilities), on_router_error)
    least = abstentions.strong_share
    wanted = min(max(0.5, least), least + 1.0 - abstentions.share)
    return cut_for_share(scored, abstentions.strong_share_of_scored(wanted))


def _share(happened: BoolArray | FloatArray) -> CountedShare:
    """Return a share with its interval; NaN of none."""
    if not len(happened):
        return CountedShare(Figure(value=np.nan, low=np.nan, high=np.nan), 0)
    share = np.array([happened.mean()], np.float64)
    low, high = wilson_interval(share, np.array([len(happened)]))
    figure = Figure(value=float(share[0]), low=float(low[0]), high=float(high[0]))
    return CountedShare(figure, len(happened))
