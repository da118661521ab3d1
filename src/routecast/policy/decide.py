"""From a win probability to a decision."""

from dataclasses import dataclass
from enum import StrEnum

from routecast.policy.cuts import Cut, tie_draw


class Reason(StrEnum):
    """Why a model was chosen; these strings are public, and none will change its meaning."""

    REACHES_THRESHOLD = "reaches_threshold"
    """The win probability is at or above the threshold: strong."""

    BELOW_THRESHOLD = "below_threshold"
    """The win probability is below the threshold: weak."""

    SPLIT_AT_THRESHOLD = "split_at_threshold"
    """The win probability is the threshold's, which many prompts share: a hash of the prompt's
    text chose strong or weak, so that the share of strong calls is met."""

    ROUTER_ABSTAINED = "router_abstained"
    """The router gave NaN, so the route's ``on_router_error`` model answers."""

    ROUTER_FAILED = "router_failed"
    """The router raised or broke its contract, so the ``on_router_error`` model answers."""

    ROUTER_SLOW = "router_slow"
    """The router took longer than ``router_timeout_ms``, so the ``on_router_error`` model
    answers."""

    NO_TEXT = "no_text"
    """The request has no text to score, so the ``on_router_error`` model answers."""

    ONLY_CAPABLE = "only_capable"
    """Only one of the route's models can take what the request holds; nothing was scored."""

    SAME_CONVERSATION = "same_conversation"
    """The request goes on with a response that this model made; nothing was scored."""

    FALLBACK = "fallback"
    """The chosen model failed before it answered, so another of the route's models did."""

    FORCED = "forced"
    """The client asked for the strong or the weak model by a header; nothing was scored."""

    DIRECT = "direct"
    """The client named a configured model; nothing was scored."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which model answers, and why.

    Attributes:
        model: A model's name in the settings.
        win_probability: What the router gave; None where it gave nothing usable.
        threshold: What it was compared with; None where nothing was to be compared.
        reason: One of a closed set.
    """

    model: str
    win_probability: float | None
    threshold: float | None
    reason: Reason


def decide(
    win_probability: float,
    cut: Cut,
    *,
    prompt: str,
    strong: str,
    weak: str,
    fallback: str | None = None,
) -> Decision:
    """Choose by the threshold: weak below it, otherwise strong.

    Args:
        win_probability: P(strong wins), in [0, 1]; NaN when the router abstains.
        cut: From where on the strong model answers.
        prompt: The text that was scored; where a tie is split, its hash decides, and the same
            text always gets the same model.
        strong: Name of the strong model.
        weak: Name of the weak model.
        fallback: Name of the model that answers when the router abstains; the strong one if None.

    References:
        Ong et al. (2024), arXiv:2406.18665, section 3: weak if P(win) < alpha, otherwise strong.
    """
    threshold = cut.threshold
    if cut.ties(win_probability):
        model = strong if tie_draw(prompt) < cut.tie_share else weak
        return Decision(model, win_probability, threshold, Reason.SPLIT_AT_THRESHOLD)
    if win_probability >= threshold:
        return Decision(strong, win_probability, threshold, Reason.REACHES_THRESHOLD)
    if win_probability < threshold:
        return Decision(weak, win_probability, threshold, Reason.BELOW_THRESHOLD)
    return Decision(fallback or strong, None, threshold, Reason.ROUTER_ABSTAINED)
